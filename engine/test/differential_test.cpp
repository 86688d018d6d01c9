// The engine against the reference model on generated commands: every event compared as text, byte for byte.
//
//   differential_test [orders]     default 100000
//   differential_test --faults     each deliberate fault of the model must be noticed
//
// VELOZ_DIFFERENTIAL_SEED=<n> plays another stream. The seed is printed; a mismatch is shrunk to a short
// script.

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>

#include "engine_under_test.hpp"
#include "order_flow.hpp"

namespace veloz::reference {
namespace {

constexpr int kCommandsPerEpisode = 2'500;
constexpr auto kShrinkTime = std::chrono::seconds(15);

using Lines = std::vector<std::string>;

struct Mismatch {
  std::size_t step;
  Lines engine, model;
};

// What a run has met, so that a generator that no longer reaches something is noticed too.
struct Tally {
  std::uint64_t orders = 0, commands = 0, fills = 0, restored = 0;
  std::set<std::string> words;
};

std::string value_of(const std::string& event, const std::string& key) {
  const std::string mark = "\"" + key + "\":\"";
  const auto start = event.find(mark);
  if (start == std::string::npos)
    return "";
  return event.substr(start + mark.size(), event.find('"', start + mark.size()) - start - mark.size());
}

void count(const std::string& line, const Lines& events, Tally& tally) {
  ++tally.commands;
  if (line.find("ORDER ") != std::string::npos && line.find("RESTORE") == std::string::npos)
    ++tally.orders;
  for (const auto& event : events) {
    const std::string type = value_of(event, "type");
    tally.words.insert(type);
    for (const char* key : {"reason", "code", "status", "liquidity"})
      tally.words.insert(type + " " + value_of(event, key));
    if (type == "fill")
      ++tally.fills;
  }
}

std::optional<Mismatch> compare(EngineUnderTest& engine, Model& model, const std::string& line,
                                std::size_t step, Tally* tally) {
  Lines got = engine.run(line);
  for (auto& event : got)
    event = without_message(event);
  const Lines expected = model.run(line);
  if (tally != nullptr)
    count(line, got, *tally);
  if (got == expected)
    return std::nullopt;
  return Mismatch{step, got, expected};
}

std::optional<Mismatch> play(const Lines& lines, Fault fault) {
  EngineUnderTest engine;
  Model model(fault);
  for (std::size_t step = 0; step < lines.size(); ++step) {
    try {
      if (auto mismatch = compare(engine, model, lines[step], step, nullptr))
        return mismatch;
    } catch (const std::out_of_range&) {
      return std::nullopt;  // shrunk too far: the model takes only lines that make sense
    }
  }
  return std::nullopt;
}

// Zeller's delta debugging without its complements: drops ever smaller stretches that the mismatch can do
// without.
Lines shrink(Lines lines, Fault fault) {
  const auto deadline = std::chrono::steady_clock::now() + kShrinkTime;
  for (std::size_t stretch = lines.size() / 2; stretch > 0;) {
    bool dropped = false;
    for (std::size_t at = 0; at < lines.size() && std::chrono::steady_clock::now() < deadline;) {
      Lines fewer = lines;
      const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(at);
      fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(stretch, lines.size() - at)));
      if (play(fewer, fault)) {
        lines = fewer;
        dropped = true;
      } else {
        at += stretch;
      }
    }
    if (!dropped)
      stretch /= 2;
    if (std::chrono::steady_clock::now() >= deadline)
      break;
  }
  return lines;
}

void report(const Lines& lines, const Mismatch& mismatch, std::uint64_t seed) {
  std::cout << "MISMATCH: seed " << seed << ", step " << mismatch.step << "; a short way to it:\n";
  const Lines script = shrink(lines, Fault::none);
  for (const auto& line : script)
    std::cout << "  " << line << "\n";
  const Mismatch shown = play(script, Fault::none).value_or(mismatch);
  for (const auto& event : shown.engine)
    std::cout << "engine: " << event << "\n";
  for (const auto& event : shown.model)
    std::cout << "model:  " << event << "\n";
}

// The account rebuilt in an engine that has never seen it has the state it had.
std::optional<Mismatch> restored_elsewhere(const Model& model, const Lines& opening,
                                           const std::string& account) {
  EngineUnderTest fresh;
  for (const auto& line : opening) {
    if (line.find("SYMBOL ") != std::string::npos)
      fresh.run(line);
  }
  Lines answers;
  for (const auto& line : model.restore_lines(account)) {
    for (const auto& event : fresh.run(line + " ts=1"))
      answers.push_back(event);
  }
  const std::string expected = model.hash_event(account);
  if (answers == Lines{expected})
    return std::nullopt;
  return Mismatch{0, answers, {expected, model.state_text(account)}};
}

struct Episode {
  Lines lines;
  std::optional<Mismatch> mismatch;
};

Episode run_episode(std::uint64_t seed, Fault fault, Tally* tally) {
  Episode episode;
  EngineUnderTest engine;
  Model model(fault);
  OrderFlow flow(seed, model);
  for (std::size_t step = 0; step < kCommandsPerEpisode; ++step) {
    episode.lines.push_back(flow.next());
    episode.mismatch = compare(engine, model, episode.lines.back(), step, tally);
    if (episode.mismatch)
      return episode;
  }
  for (const auto& [name, account] : model.accounts()) {
    if (account.restoring)
      continue;
    episode.mismatch = restored_elsewhere(model, episode.lines, name);
    if (episode.mismatch)
      return episode;
    if (tally != nullptr)
      ++tally->restored;
  }
  return episode;
}

constexpr const char* kMustBeMet[] = {"book",
                                      "market",
                                      "limits",
                                      "hash",
                                      "account",
                                      "transfer",
                                      "order_state",
                                      "fill maker",
                                      "fill taker",
                                      "order_update UNKNOWN_SYMBOL",
                                      "order_update KILL_SWITCH",
                                      "order_update BAD_TICK",
                                      "order_update BAD_LOT",
                                      "order_update MAX_ORDER_QTY",
                                      "order_update OVERFLOW",
                                      "order_update MIN_NOTIONAL",
                                      "order_update MAX_NOTIONAL",
                                      "order_update PRICE_BAND",
                                      "order_update MAX_OPEN_ORDERS",
                                      "order_update POSITION_LIMIT",
                                      "order_update DAILY_LOSS",
                                      "order_update ORDER_RATE",
                                      "order_update INSUFFICIENT_FUNDS",
                                      "order_update POST_ONLY_WOULD_TAKE",
                                      "order_update FOK_UNFILLED",
                                      "order_update IOC_REMAINDER",
                                      "order_update NO_LIQUIDITY",
                                      "order_update SELF_TRADE",
                                      "order_update TRIGGERED",
                                      "order_update AMENDED",
                                      "order_update USER",
                                      "order_update GTD_EXPIRED",
                                      "order_update PARTIALLY_FILLED",
                                      "order_update EXPIRED",
                                      "book GAP",
                                      "book CROSSED",
                                      "book SYNCED",
                                      "error UNKNOWN_ACCOUNT",
                                      "error ACCOUNT_EXISTS",
                                      "error SYMBOL_EXISTS",
                                      "error RESTORING",
                                      "error BAD_STATE",
                                      "error DUPLICATE_ORDER",
                                      "error NOT_FOUND",
                                      "error INSUFFICIENT_FUNDS",
                                      "error OVERFLOW",
                                      "error BOOK_IS_DEPTH",
                                      "error BAD_AMEND",
                                      "error BAD_EXPIRE",
                                      "error BAD_TIF",
                                      "error BAD_ARGUMENTS",
                                      "error UNKNOWN_SYMBOL",
                                      "error KILL_SWITCH",
                                      "error BAD_TICK",
                                      "error BAD_LOT",
                                      "error PRICE_BAND",
                                      "error POSITION_LIMIT",
                                      "error POST_ONLY_WOULD_TAKE",
                                      "error SELF_TRADE",
                                      "error MIN_NOTIONAL",
                                      "error MAX_NOTIONAL",
                                      "error MAX_ORDER_QTY"};

// A short run need not meet everything.
int everything_met(const Tally& tally, std::uint64_t wanted) {
  int missing = 0;
  for (const std::string word : kMustBeMet) {
    if (wanted < 100'000 || tally.words.count(word) != 0)
      continue;
    std::cout << "never met: " << word << "\n";
    ++missing;
  }
  std::cout << tally.orders << " orders in " << tally.commands << " commands, " << tally.fills << " fills, "
            << tally.restored << " accounts restored elsewhere: all equal\n";
  return missing == 0 ? 0 : 1;
}

int agree(std::uint64_t seed, std::uint64_t orders) {
  Tally tally;
  for (std::uint64_t episode = 0; tally.orders < orders; ++episode) {
    const Episode played = run_episode(seed * 1'000'003 + episode, Fault::none, &tally);
    if (!played.mismatch)
      continue;
    report(played.lines, *played.mismatch, seed);
    return 1;
  }
  return everything_met(tally, orders);
}

int faults_are_noticed(std::uint64_t seed) {
  constexpr int kEpisodes = 40;
  static const std::map<Fault, std::string> kFaults = {
      {Fault::newest_first, "newest first"},
      {Fault::lock_rounded_down, "lock rounded down"},
      {Fault::fee_rounded_down, "fee rounded down"},
      {Fault::self_trade_ignored, "self-trade ignored"},
      {Fault::stop_needs_more_than_reached, "a stop needs more than being reached"},
      {Fault::taken_forgotten, "taken liquidity forgotten"},
      {Fault::amend_keeps_rank, "an amend keeps its rank"},
      {Fault::expiry_one_late, "expiry one nanosecond late"},
      {Fault::realised_of_whole_fill, "realised profit of the whole fill"},
      {Fault::rate_window_closed, "rate window closed at its end"},
      {Fault::band_inclusive, "price band inclusive"}};
  int unnoticed = 0;
  for (const auto& [fault, name] : kFaults) {
    int episode = 0;
    std::optional<Mismatch> mismatch;
    for (; episode < kEpisodes && !mismatch; ++episode) {
      mismatch = run_episode(seed * 1'000'003 + static_cast<std::uint64_t>(episode), fault, nullptr).mismatch;
    }
    std::cout << name << ": " << (mismatch ? "noticed in episode " + std::to_string(episode) : "NOT NOTICED")
              << "\n";
    unnoticed += mismatch ? 0 : 1;
  }
  return unnoticed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace veloz::reference

int main(int argc, char** argv) {
  const char* given = std::getenv("VELOZ_DIFFERENTIAL_SEED");
  const std::uint64_t seed = given == nullptr ? 1 : std::stoull(given);
  std::cout << "seed " << seed << "\n";
  const std::string argument = argc > 1 ? argv[1] : "100000";
  if (argument == "--faults")
    return veloz::reference::faults_are_noticed(seed);
  return veloz::reference::agree(seed, std::stoull(argument));
}
