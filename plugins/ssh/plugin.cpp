#include "adapter.hpp"

RAP_PLUGIN(rap::ssh::SshAdapter)
