#include "line_reader.hpp"

#include <cstring>

namespace veloz {
namespace {

constexpr std::size_t kBuffer = 8 * kMaxLine;

}  // namespace

// Not cleared: pages that are never read into cost nothing.
LineReader::LineReader() : buffer_(std::make_unique_for_overwrite<char[]>(kBuffer)) {}

std::span<char> LineReader::room() {
  if (begin_ != 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    seen_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  return {buffer_.get() + end_, kBuffer - end_};
}

std::optional<LineReader::Line> LineReader::next() {
  const char* const found = static_cast<const char*>(std::memchr(buffer_.get() + seen_, '\n', end_ - seen_));
  if (found == nullptr) {
    seen_ = end_;
    // One byte more than a line may have, for the carriage return.
    if (discarding_ || end_ - begin_ > kMaxLine + 1) {
      discarding_ = true;
      begin_ = end_;
    }
    return std::nullopt;
  }
  std::string_view text(buffer_.get() + begin_, static_cast<std::size_t>(found - buffer_.get()) - begin_);
  begin_ = seen_ = begin_ + text.size() + 1;
  if (text.ends_with('\r')) {
    text.remove_suffix(1);
  }
  const bool too_long = discarding_ || text.size() > kMaxLine;
  discarding_ = false;
  return too_long ? Line{{}, true} : Line{text, false};
}

}  // namespace veloz
