// Standard output as something that can fail: a full disk, a reader that is gone, a closed one.
#pragma once

#include <string>

namespace rap::commandline {

// First in main. A reader that is gone is then an error of writing instead of a silent death, and
// no file or connection gets the number of a standard descriptor that the caller closed.
void prepare_standard_streams();

// Last in main: writes what is left of standard output. `status`, when all was written or when it
// is a failure already; otherwise 1, after one line on standard error.
int finish_standard_output(const std::string& program, int status);

}  // namespace rap::commandline
