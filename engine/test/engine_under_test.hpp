// The engine behind its text protocol, in this process: one line in, its events out.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace veloz::reference {

class EngineUnderTest {
 public:
  EngineUnderTest();
  ~EngineUnderTest();
  EngineUnderTest(const EngineUnderTest&) = delete;
  EngineUnderTest& operator=(const EngineUnderTest&) = delete;

  std::vector<std::string> run(const std::string& line);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// An `error` event without its message, which is worded freely.
std::string without_message(const std::string& event);

}  // namespace veloz::reference
