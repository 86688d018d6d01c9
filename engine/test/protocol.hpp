#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "session.hpp"

namespace veloz::test {

/// The text protocol in this process: a line in, the lines it causes out. The system clock stands still.
class Protocol {
 public:
  static constexpr Nanos kNow = 1'700'000'000'000'000'000;

  Protocol() : session_(out_, [] { return kNow; }) {}

  std::vector<std::string> operator()(std::string_view line) {
    out_.clear();
    open_ = session_.line(line);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < out_.size();) {
      const std::size_t end = out_.find('\n', at);
      lines.push_back(out_.substr(at, end - at));
      at = end + 1;
    }
    return lines;
  }

  /// The only event's text; what there was, joined, when it is not the only one.
  std::string one(std::string_view line) {
    (*this)(line);
    std::string all = out_;
    if (all.ends_with('\n')) {
      all.pop_back();
    }
    return all;
  }

  /// The code of the only event, an error; "" when there is none.
  std::string refusal(std::string_view line) {
    const std::string text = one(line);
    const std::string mark = "\"code\":\"";
    const std::size_t at = text.find(mark);
    return at == std::string::npos
               ? ""
               : text.substr(at + mark.size(), text.find('"', at + mark.size()) - at - mark.size());
  }

  bool open() const {
    return open_;
  }

 private:
  std::string out_;
  Session session_;
  bool open_ = true;
};

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace veloz::test
