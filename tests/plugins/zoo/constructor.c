/* Works before it was asked: its constructor prints, changes the environment and the umask. */
#include <stdio.h>
#include <sys/stat.h>

#include "zoo.h"
__attribute__((constructor)) static void early(void) {
  puts("zoo: constructor was here");
  fflush(stdout);
  setenv("RAP_ZOO", "constructor", 1);
  umask(0);
}
#include "zoo_plugin.h"
