#include "line_reader.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "test.hpp"

using namespace veloz;

namespace {

/// The lines of a stream that comes in pieces of `piece` bytes; "!" stands for one that is too long.
std::vector<std::string> lines_of(std::string_view stream, std::size_t piece) {
  LineReader reader;
  std::vector<std::string> lines;
  while (!stream.empty()) {
    const std::span<char> room = reader.room();
    const std::size_t n = std::min({piece, room.size(), stream.size()});
    std::copy_n(stream.data(), n, room.data());
    reader.filled(n);
    stream.remove_prefix(n);
    while (const auto line = reader.next()) {
      lines.push_back(line->too_long ? "!" : std::string(line->text));
    }
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST("lines are the same in whatever pieces they come") {
  const std::string stream = "one\n\ntwo\r\nthree \r \nfour\n";
  const Lines whole{"one", "", "two", "three \r ", "four"};
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    CHECK(lines_of(stream, piece) == whole);
  }
}

TEST("one carriage return before the line end is dropped, and only one") {
  CHECK(lines_of("a\r\r\n\r\n", 99) == (Lines{"a\r", ""}));
}

TEST("bytes without a line end are no line") {
  CHECK(lines_of("one\ntwo", 99) == Lines{"one"});
}

TEST("a line of 65536 bytes is read and one more byte is too long") {
  const std::string longest(kMaxLine, 'x');
  for (const std::size_t piece : {std::size_t{1'000}, kMaxLine, std::size_t{1} << 20}) {
    CHECK(lines_of(longest + "\n", piece) == Lines{longest});
    CHECK(lines_of(longest + "\r\n", piece) == Lines{longest});
    CHECK(lines_of(longest + "x\nnext\n", piece) == (Lines{"!", "next"}));
    CHECK(lines_of(longest + "x\r\nnext\n", piece) == (Lines{"!", "next"}));
  }
}

TEST("a line of megabytes is discarded to its end and reported once") {
  CHECK(lines_of("a\n" + std::string(3'000'000, 'x') + "\nb\n", 70'001) == (Lines{"a", "!", "b"}));
}
