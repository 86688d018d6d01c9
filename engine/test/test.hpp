#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

/// A test is a sentence and a body; a body's checks report where and what, and the test goes on.
///
///     TEST("a decimal keeps eight places") { CHECK_EQ(decimal_text(1), "0.00000001"); }
namespace veloz::test {

struct Case {
  std::string_view file;
  std::string_view sentence;
  void (*body)();
};

std::vector<Case>& cases();
void report(const char* file, int line, const std::string& what);

struct Registration {
  Registration(std::string_view file, std::string_view sentence, void (*body)()) {
    cases().push_back({file, sentence, body});
  }
};

inline void check(bool held, std::string_view text, const char* file, int line) {
  if (!held) {
    report(file, line, "does not hold: " + std::string(text));
  }
}

template <class A, class B>
void check_equal(const A& a, const B& b, std::string_view text, const char* file, int line) {
  if (!(a == b)) {
    std::ostringstream out;
    out << text << "\n      left  " << a << "\n      right " << b;
    report(file, line, out.str());
  }
}

}  // namespace veloz::test

#define VELOZ_JOIN2(a, b) a##b
#define VELOZ_JOIN(a, b) VELOZ_JOIN2(a, b)
// __COUNTER__, not __LINE__: a unity build puts several files into one.
#define TEST(sentence) VELOZ_TEST(sentence, __COUNTER__)
#define VELOZ_TEST(sentence, number)                                                                      \
  static void VELOZ_JOIN(test_body_, number)();                                                           \
  static const veloz::test::Registration VELOZ_JOIN(test_case_, number){__FILE__, sentence,               \
                                                                        &VELOZ_JOIN(test_body_, number)}; \
  static void VELOZ_JOIN(test_body_, number)()
#define CHECK(condition) veloz::test::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b) veloz::test::check_equal((a), (b), #a " == " #b, __FILE__, __LINE__)
