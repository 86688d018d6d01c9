#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace veloz {

inline constexpr std::size_t kMaxLine = 65'536;

/// Cuts a stream of bytes into lines, whatever pieces it comes in.
class LineReader {
 public:
  struct Line {
    std::string_view text;  // without its end; valid until the next call of room()
    bool too_long = false;  // then without text
  };

  LineReader();

  /// Space to read into; at least kMaxLine bytes.
  std::span<char> room();
  void filled(std::size_t bytes) {
    end_ += bytes;
  }
  /// The next whole line, if one is waiting.
  std::optional<Line> next();

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;  // of what is not yet handed out
  std::size_t seen_ = 0;   // up to here there is no line end
  std::size_t end_ = 0;
  bool discarding_ = false;
};

}  // namespace veloz
