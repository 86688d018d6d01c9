#include "json_sink.hpp"

#include "json_object.hpp"
#include "version.hpp"

namespace veloz {
namespace {

/// An event's line: type and req first, the line end last.
class EventLine {
 public:
  EventLine(std::string& out, std::string_view type, std::optional<std::int64_t> req)
      : out_(out), object_(out) {
    object_->word("type", type);
    if (req) {
      object_->integer("req", *req);
    }
  }
  ~EventLine() {
    object_.reset();
    out_ += '\n';
  }
  EventLine(const EventLine&) = delete;
  EventLine& operator=(const EventLine&) = delete;
  JsonObject* operator->() {
    return &*object_;
  }

 private:
  std::string& out_;
  std::optional<JsonObject> object_;
};

template <class Row, class Write>
void append_array(std::string& out, std::span<const Row> rows, Write write) {
  out += '[';
  bool first = true;
  for (const Row& row : rows) {
    if (!first) {
      out += ',';
    }
    first = false;
    JsonObject object(out);
    write(object, row);
  }
  out += ']';
}

}  // namespace

void JsonSink::ready() {
  EventLine line(out_, "ready", std::nullopt);
  line->word("version", kVersion).integer("protocol", kProtocol);
}

void JsonSink::done() {
  EventLine line(out_, "done", req_);
}

void JsonSink::market(const MarketEvent& event) {
  EventLine line(out_, "market", req_);
  line->word("symbol", event.symbol).integer("ts_ns", event.ts);
  if (event.last) {
    line->decimal("price", event.last->price).decimal("qty", event.last->qty);
  }
  if (event.bid) {
    line->decimal("bid", event.bid->price).decimal("bid_qty", event.bid->qty);
  }
  if (event.ask) {
    line->decimal("ask", event.ask->price).decimal("ask_qty", event.ask->qty);
  }
}

void JsonSink::book(const BookEvent& event) {
  EventLine line(out_, "book", req_);
  line->word("symbol", event.symbol).integer("ts_ns", event.ts).word("status", name(event.status));
  if (event.expected) {
    line->integer("expected", *event.expected);
  }
  if (event.got) {
    line->integer("got", *event.got);
  }
}

void JsonSink::order_update(const OrderUpdateEvent& event) {
  EventLine line(out_, "order_update", req_);
  line->word("account", event.account)
      .integer("ts_ns", event.ts)
      .word("client_order_id", event.client_order_id)
      .word("status", name(event.status))
      .word("symbol", event.symbol)
      .word("side", name(event.side))
      .decimal("qty", event.qty)
      .decimal("price", event.price)
      .word("order_type", name(event.type))
      .word("tif", name(event.tif));
  if (event.stop != 0) {
    line->decimal("stop_price", event.stop);
  }
  if (event.expire != 0) {
    line->integer("expire_ts_ns", event.expire);
  }
  line->word("stp", name(event.stp)).flag("triggered", event.triggered).integer("rank", event.rank);
  if (!event.reason.empty()) {
    line->word("reason", event.reason);
  }
}

void JsonSink::fill(const FillEvent& event) {
  EventLine line(out_, "fill", req_);
  line->word("account", event.account)
      .integer("ts_ns", event.ts)
      .word("client_order_id", event.client_order_id)
      .word("symbol", event.symbol)
      .word("side", name(event.side))
      .decimal("qty", event.qty)
      .decimal("price", event.price)
      .decimal("fee", event.fee)
      .word("fee_asset", event.fee_asset)
      .word("liquidity", name(event.liquidity))
      .integer("trade_id", event.trade_id);
}

void JsonSink::transfer(const TransferEvent& event) {
  EventLine line(out_, "transfer", req_);
  line->word("account", event.account)
      .integer("ts_ns", event.ts)
      .word("asset", event.asset)
      .decimal("amount", event.amount)
      .word("ref", event.ref);
}

void JsonSink::order_state(const OrderStateEvent& event) {
  EventLine line(out_, "order_state", req_);
  line->word("account", event.account)
      .word("client_order_id", event.client_order_id)
      .word("symbol", event.symbol)
      .word("side", name(event.side))
      .decimal("order_qty", event.qty)
      .decimal("limit_price", event.price);
  if (event.stop != 0) {
    line->decimal("stop_price", event.stop);
  }
  if (event.expire != 0) {
    line->integer("expire_ts_ns", event.expire);
  }
  line->raw("venue_order_id", "null")
      .word("status", name(event.status))
      .word("reason", event.reason)
      .decimal("executed_qty", event.executed_qty)
      .decimal("executed_notional", event.executed_notional)
      .decimal("avg_price", event.avg_price())
      .word("order_type", name(event.type))
      .word("tif", name(event.tif))
      .word("stp", name(event.stp))
      .flag("triggered", event.triggered)
      .integer("rank", event.rank)
      .integer("created_ts_ns", event.created)
      .integer("last_ts_ns", event.last);
}

void JsonSink::account(const AccountEvent& event) {
  EventLine line(out_, "account", req_);
  line->word("account", event.account).integer("ts_ns", event.ts);
  append_array(line->key("balances"), event.balances, [](JsonObject& object, const BalanceRow& row) {
    object.word("asset", row.asset).decimal("free", row.free).decimal("locked", row.locked);
  });
  append_array(line->key("positions"), event.positions, [](JsonObject& object, const PositionRow& row) {
    object.word("symbol", row.symbol)
        .decimal("qty", row.qty)
        .decimal("cost", row.cost)
        .decimal("avg_price", row.avg_price())
        .decimal("realised", row.realised)
        .integer("day", row.day)
        .decimal("day_realised", row.day_realised);
  });
}

void JsonSink::limits(const LimitsEvent& event) {
  EventLine line(out_, "limits", req_);
  line->word("account", event.account)
      .integer("ts_ns", event.ts)
      .decimal("maker_fee_bps", event.maker_fee_bps)
      .decimal("taker_fee_bps", event.taker_fee_bps)
      .decimal("max_order_qty", event.max_order_qty)
      .decimal("max_notional", event.max_notional)
      .decimal("price_band_bps", event.price_band_bps)
      .integer("max_open_orders", event.max_open_orders)
      .decimal("max_position", event.max_position)
      .integer("order_rate", event.order_rate)
      .decimal("daily_loss", event.daily_loss)
      .flag("kill", event.kill);
}

void JsonSink::hash(const HashEvent& event) {
  EventLine line(out_, "hash", req_);
  line->word("account", event.account).word("hash", event.hash).integer("open_orders", event.open_orders);
}

void JsonSink::stats(const StatsEvent& event) {
  EventLine line(out_, "stats", req_);
  line->word("version", kVersion)
      .integer("uptime_ns", event.uptime)
      .integer("commands", event.commands)
      .integer("errors", event.errors)
      .integer("orders", event.orders)
      .integer("fills", event.fills)
      .integer("accounts", event.accounts)
      .integer("open_orders", event.open_orders)
      .integer("symbols", event.symbols);
}

void JsonSink::pong(const PongEvent& event) {
  EventLine line(out_, "pong", req_);
  line->integer("ts_ns", event.ts);
  if (!event.token.empty()) {
    line->word("token", event.token);
  }
}

void JsonSink::error(const ErrorEvent& event) {
  EventLine line(out_, "error", req_);
  line->integer("ts_ns", event.ts).word("code", name(event.code)).text("message", event.message);
  if (!event.account.empty()) {
    line->word("account", event.account);
  }
  if (!event.client_order_id.empty()) {
    line->word("client_order_id", event.client_order_id);
  }
}

}  // namespace veloz
