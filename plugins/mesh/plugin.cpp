#include "core_adapter.hpp"
#include "role_adapters.hpp"

RAP_PLUGIN(rap::mesh::CoreAdapter, rap::mesh::RelayAdapter, rap::mesh::EntryAdapter)
