#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "events.hpp"

namespace veloz {

/// Writes events as JSON objects, one a line (section 2), at the end of a string.
class JsonSink final : public EventSink {
 public:
  explicit JsonSink(std::string& out) : out_(out) {}

  /// What the following events repeat as `req`.
  void set_req(std::optional<std::int64_t> req) {
    req_ = req;
  }

  void ready();
  void done();
  void market(const MarketEvent& event) override;
  void book(const BookEvent& event) override;
  void order_update(const OrderUpdateEvent& event) override;
  void fill(const FillEvent& event) override;
  void transfer(const TransferEvent& event) override;
  void order_state(const OrderStateEvent& event) override;
  void account(const AccountEvent& event) override;
  void limits(const LimitsEvent& event) override;
  void hash(const HashEvent& event) override;
  void stats(const StatsEvent& event) override;
  void pong(const PongEvent& event) override;
  void error(const ErrorEvent& event) override;

 private:
  std::string& out_;
  std::optional<std::int64_t> req_;
};

}  // namespace veloz
