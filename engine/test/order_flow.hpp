// A seeded stream of commands for the differential test: mostly sensible ones, close enough together in price
// to meet each other, with every kind of refusal among them. It looks at the model only to name orders that
// are open.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "reference_model.hpp"

namespace veloz::reference {

class OrderFlow {
 public:
  OrderFlow(std::uint64_t seed, const Model& model);

  std::string next();

 private:
  struct Instrument {
    std::string symbol, base, quote;
    Units tick, lot, centre;
    std::int64_t spread, size;  // in ticks and lots
    std::int64_t depth_id = 0;
    Units round = 0;  // a price that comes again and again
    bool has_depth = false;
  };

  void open();
  void define(const Instrument& instrument);
  void redefine(const Instrument& instrument);
  void fund(const std::string& account);
  void refill();
  void order();
  void queue_up();
  void amend();
  void cancel();
  void print();
  void book();
  void depth(Instrument& instrument);
  void limits();
  void transfer();
  void restart(const std::string& account);
  void mistake();
  void say(const std::string& line);
  void advance_clock();

  std::int64_t under(std::int64_t bound);  // 0 … bound - 1
  bool once_in(std::int64_t n) {
    return under(n) == 0;
  }
  const std::string& pick(const std::vector<std::string>& words);
  Instrument& instrument() {
    return instruments_[static_cast<std::size_t>(under(std::ssize(instruments_)))];
  }
  std::string price(const Instrument& instrument, std::int64_t lean = 0);
  std::string qty(const Instrument& instrument);
  std::string levels(const Instrument& instrument, bool bids);
  std::string some_open(const std::string& account);

  std::uint64_t state_;
  const Model& model_;
  std::vector<Instrument> instruments_;
  std::vector<std::string> accounts_;
  std::deque<std::string> lines_;
  std::int64_t clock_ = 1'610'000'000'000'000'000, req_ = 0, orders_ = 0;
  bool limited_ = false, crowded_ = false, deep_ = false;
};

}  // namespace veloz::reference
