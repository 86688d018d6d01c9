// Behaviours of the engine, each worked out by hand from docs/engine_protocol.md, as plain text.
//
//   scenario_test <file>...
//
// A file holds scenarios. Each starts in a fresh engine:
//
//   = A sentence that names the behaviour
//   begin                             symbol BTCUSDT (tick 0.01, lot 0.001), account main with 10000 USDT and
//   10 BTC > ORDER BUY BTCUSDT 1 100 a       a command; ` ts=1000000000000000000` (day 11574) is added unless
//   it has a ts= order_update status=ACCEPTED      an event it causes, with some of its fields; `!key` says
//   that a field is absent
//   {"type":"done","req":1}           an event in full
//
// Rows of an account event are fields such as `balances.USDT.free` and `positions.BTCUSDT.qty`.
// Events are expected in order. order_update, fill, transfer, book, pong and error must all be listed; the
// others may be left out. `+ COMMAND` prepares: its events do not matter, but an error or a rejection among
// them fails. `nothing` says that there is no event at all. `>>` sends a line as it stands, with \xNN for any
// byte.
// `pad N LINE` sends it after N blanks. `# …` is a comment.

#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "engine_under_test.hpp"

namespace veloz::reference {
namespace {

using Fields = std::map<std::string, std::string>;

constexpr const char* kOpening[] = {"SYMBOL BTCUSDT base=BTC quote=USDT tick=0.01 lot=0.001", "ACCOUNT main",
                                    "DEPOSIT USDT 10000", "DEPOSIT BTC 10"};
constexpr const char* kTime = " ts=1000000000000000000";

// Reads one event into flat fields; no escapes, as the engine writes tokens only (messages aside).
class Flat {
 public:
  explicit Flat(const std::string& text) : text_(text) {
    object("");
  }
  Fields fields;

 private:
  void object(const std::string& prefix) {
    std::string row = prefix;
    ++at_;
    for (bool first = true; text_[at_] != '}'; first = false) {
      if (text_[at_] == ',')
        ++at_;
      const std::string key = scalar();
      ++at_;
      if (text_[at_] == '[') {
        array(key + ".");
        continue;
      }
      const std::string value = scalar();
      if (first && !prefix.empty())
        row += value + ".";
      fields[row + key] = value;
    }
    ++at_;
  }

  void array(const std::string& prefix) {
    ++at_;
    while (text_[at_] != ']') {
      if (text_[at_] == ',')
        ++at_;
      object(prefix);
    }
    ++at_;
  }

  std::string scalar() {
    const bool quoted = text_[at_] == '"';
    std::string value;
    for (at_ += quoted ? 1 : 0; quoted ? text_[at_] != '"' : text_.find_first_of(",:}]", at_) != at_; ++at_) {
      if (text_.at(at_) == '\\')
        ++at_;
      value += text_.at(at_);
    }
    at_ += quoted ? 1 : 0;
    return value;
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

bool quiet(const std::string& event) {
  static const std::set<std::string> kLoud = {"order_update", "fill", "transfer", "book", "pong", "error"};
  return kLoud.count(Flat(event).fields.at("type")) == 0;
}

bool fits(const std::string& expected, const std::string& event) {
  if (expected[0] == '{')
    return expected == event;
  const Fields fields = Flat(event).fields;
  std::istringstream words(expected);
  std::string word;
  words >> word;
  if (fields.at("type") != word)
    return false;
  while (words >> word) {
    if (word[0] == '!') {
      if (fields.count(word.substr(1)) != 0)
        return false;
      continue;
    }
    const auto equals = word.find('=');
    const auto found = fields.find(word.substr(0, equals));
    if (found == fields.end() || found->second != word.substr(equals + 1))
      return false;
  }
  return true;
}

std::string bytes(const std::string& text) {
  std::string raw;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text.compare(i, 2, "\\x") == 0;
    raw += escape ? static_cast<char>(std::stoi(text.substr(i + 2, 2), nullptr, 16)) : text[i];
    i += escape ? 3 : 0;
  }
  return raw;
}

class Runner {
 public:
  explicit Runner(std::string file) : file_(std::move(file)) {}

  int run() {
    std::ifstream input(file_);
    if (!input)
      return fail("cannot be read");
    for (std::string line; std::getline(input, line);) {
      ++number_;
      if (line.empty() || line[0] == '#')
        continue;
      take(line);
    }
    close_command();
    std::cout << scenarios_ << " scenarios, " << failures_ << " failures in " << file_ << "\n";
    return scenarios_ == 0 ? fail("holds no scenario") : failures_;
  }

 private:
  void take(const std::string& line) {
    if (line[0] == '=') {
      close_command();
      engine_ = std::make_unique<EngineUnderTest>();
      name_ = line.substr(2);
      ++scenarios_;
    } else if (line == "begin") {
      for (const char* command : kOpening)
        engine_->run(std::string(command) + kTime);
    } else if (line.compare(0, 2, ">>") == 0) {
      send(bytes(line.substr(std::min<std::size_t>(3, line.size()))));
    } else if (line[0] == '>' || line[0] == '+') {
      const std::string command = line.substr(2);
      send(command + (command.find(" ts=") == std::string::npos ? kTime : ""));
      if (line[0] == '+')
        prepared();
    } else if (line.compare(0, 4, "pad ") == 0) {
      const auto blank = line.find(' ', 4);
      send(std::string(std::stoul(line.substr(4)), ' ') + line.substr(blank + 1));
    } else if (line == "nothing") {
      if (!events_.empty())
        fail("expected nothing, got " + events_[0]);
    } else {
      expect(line);
    }
  }

  void send(const std::string& command) {
    close_command();
    events_ = engine_->run(command);
    next_ = 0;
  }

  void prepared() {
    for (const auto& event : events_) {
      if (fits("error", event) || fits("order_update status=REJECTED", event))
        fail("in preparation: " + event);
    }
    events_.clear();
  }

  void expect(const std::string& line) {
    for (std::size_t i = next_; i < events_.size(); ++i) {
      if (fits(line, events_[i])) {
        next_ = i + 1;
        return;
      }
      if (!quiet(events_[i]))
        break;
    }
    std::string rest;
    for (std::size_t i = next_; i < events_.size(); ++i)
      rest += "\n    " + events_[i];
    fail("expected " + line + "\n  next were:" + (rest.empty() ? " none" : rest));
  }

  void close_command() {
    for (; next_ < events_.size(); ++next_) {
      if (!quiet(events_[next_]))
        fail("not expected: " + events_[next_]);
    }
    events_.clear();
  }

  int fail(const std::string& message) {
    std::cout << file_ << ":" << number_ << ": " << name_ << "\n  " << message << "\n";
    return ++failures_;
  }

  std::string file_, name_;
  std::unique_ptr<EngineUnderTest> engine_;
  std::vector<std::string> events_;
  std::size_t next_ = 0;
  int number_ = 0, scenarios_ = 0, failures_ = 0;
};

}  // namespace
}  // namespace veloz::reference

int main(int argc, char** argv) {
  int failures = argc < 2 ? 1 : 0;
  for (int i = 1; i < argc; ++i)
    failures += veloz::reference::Runner(argv[i]).run();
  return failures == 0 ? 0 : 1;
}
