#include <cstdio>

#include "test.hpp"

namespace veloz::test {
namespace {

int failed_checks = 0;

}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

void report(const char* file, int line, const std::string& what) {
  ++failed_checks;
  std::printf("    %s:%d: %s\n", file, line, what.c_str());
}

}  // namespace veloz::test

/// unit_tests [part of a file's name]; fails when no test was run.
int main(int argc, char** argv) {
  using namespace veloz::test;
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  int run = 0;
  int failed = 0;
  for (const Case& test : cases()) {
    if (test.file.find(wanted) == std::string_view::npos) {
      continue;
    }
    const int before = failed_checks;
    test.body();
    ++run;
    const bool passed = failed_checks == before;
    failed += passed ? 0 : 1;
    std::printf("%s %s\n", passed ? "ok  " : "FAIL", std::string(test.sentence).c_str());
  }
  std::printf("%d passed, %d failed\n", run - failed, failed);
  return run > 0 && failed == 0 ? 0 : 1;
}
