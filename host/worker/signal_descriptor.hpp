// Signals as something to read, so that the loop handles them between other work.
#pragma once

#include <initializer_list>

#include "base/file.hpp"

namespace rap::worker {

// Readable while one of `numbers` has arrived: a signalfd_siginfo each, and not blocking. These are
// blocked from now on and all others are not, whatever the parent left; a thread that is made later
// inherits that.
Fd signal_descriptor(std::initializer_list<int> numbers);

}  // namespace rap::worker
