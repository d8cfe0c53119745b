#include "host/worker/signal_descriptor.hpp"

#include <signal.h>
#include <sys/signalfd.h>

namespace rap::worker {

Fd signal_descriptor(std::initializer_list<int> numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : numbers) sigaddset(&signals, number);
  pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  return Fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace rap::worker
