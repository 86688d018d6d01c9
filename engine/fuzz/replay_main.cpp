// Stands in for libFuzzer where there is none: runs every file of a corpus, then mutations of them, the
// same on every machine.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kMaxInput = 4'096;

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& corpus) : corpus_(corpus) {}

  std::string next() {
    std::string input = pick();
    for (std::size_t changes = 1 + random(6); changes > 0; --changes) {
      change(input);
    }
    input.resize(std::min(input.size(), kMaxInput));
    return input;
  }

 private:
  /// xorshift64*
  std::size_t random(std::size_t below) {
    seed_ ^= seed_ >> 12;
    seed_ ^= seed_ << 25;
    seed_ ^= seed_ >> 27;
    return static_cast<std::size_t>((seed_ * 0x2545f4914f6cdd1dU) >> 33) % below;
  }
  const std::string& pick() {
    return corpus_[random(corpus_.size())];
  }

  void change(std::string& input) {
    const std::size_t at = random(input.size() + 1);
    switch (random(6)) {
      case 0:  // one byte
        input.insert(at, 1, static_cast<char>(random(256)));
        break;
      case 1:
        input.erase(at, 1 + random(8));
        break;
      case 2: {  // a stretch of another input
        const std::string& other = pick();
        input.insert(at, other, random(other.size() + 1), 1 + random(200));
        break;
      }
      case 3:  // a stretch of itself
        input.insert(at, input.substr(random(input.size() + 1), 1 + random(100)));
        break;
      case 4:  // a digit, where the arithmetic is
        if (const std::size_t digit = input.find_first_of("0123456789", at); digit != std::string::npos) {
          input[digit] = static_cast<char>('0' + random(10));
        }
        break;
      default: {
        static const std::vector<std::string> words{"92233720368.54775807",
                                                    "9223372036854775807",
                                                    "0.00000001",
                                                    "\n",
                                                    " STOP ",
                                                    " MARKET ",
                                                    " FOK ",
                                                    " stp=NONE",
                                                    "-",
                                                    "TRADE X 1 1\n"};
        input.insert(at, words[random(words.size())]);
      }
    }
  }

  const std::vector<std::string>& corpus_;
  std::uint64_t seed_ = 88172645463325252U;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: protocol_fuzz MUTATIONS CORPUS\n");
    return 2;
  }
  std::vector<std::string> corpus;
  for (const auto& entry : std::filesystem::directory_iterator(argv[2])) {
    std::ifstream file(entry.path(), std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "protocol_fuzz: no corpus in %s\n", argv[2]);
    return 1;
  }
  // The directory lists its files in any order.
  std::sort(corpus.begin(), corpus.end());
  for (const std::string& input : corpus) {
    run(input);
  }
  Mutator mutator(corpus);
  const long mutations = std::strtol(argv[1], nullptr, 10);
  for (long i = 0; i < mutations; ++i) {
    run(mutator.next());
  }
  std::printf("%zu inputs and %ld mutations of them survived\n", corpus.size(), mutations);
  return 0;
}
