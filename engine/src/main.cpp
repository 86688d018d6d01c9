#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "stdio_loop.hpp"
#include "version.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("veloz_engine %s\n", veloz::kVersion.data());
    return 0;
  }
  if (argc > 1) {
    std::fprintf(stderr,
                 "usage: veloz_engine [--version]\n"
                 "Reads commands on standard input and writes events on standard output;\n"
                 "see docs/engine_protocol.md.\n");
    return 2;
  }
  // A reader that went away shows as a failed write.
  std::signal(SIGPIPE, SIG_IGN);
  return veloz::serve(STDIN_FILENO, STDOUT_FILENO);
}
