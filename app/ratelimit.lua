-- Sliding windows, exact: no span of one window ever holds more than the limit.
--
-- KEYS: one hash a subject, bucket number -> weight used in it.
-- ARGV: window in microseconds, then for each key its weight and its limit.
-- Returns: allowed (1 or 0), then for each key: used weight (with this request when allowed), microseconds until the oldest
-- bucket leaves the window, microseconds until this request's weight would fit (0 when it does).
--
-- A window is 60 buckets. The bucket that the window begins in counts whole, so what is counted is never too little.
-- All subjects are checked before any is charged: a refused request costs nothing.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local window = tonumber(ARGV[1])
local width = window / 60
local bucket = math.floor(now / width)
local allowed, answer = 1, {1}

for i, key in ipairs(KEYS) do
  local weight, limit = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local stored = redis.call('HGETALL', key)
  local used, live, gone = 0, {}, {}
  for j = 1, #stored, 2 do
    local b = tonumber(stored[j])
    if b < bucket - 60 then
      gone[#gone + 1] = stored[j]
    else
      live[#live + 1] = {b, tonumber(stored[j + 1])}
      used = used + live[#live][2]
    end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  table.sort(live, function(a, b) return a[1] < b[1] end)
  local oldest = live[1] and (live[1][1] + 61) * width - now or window
  local wait, rest = 0, used
  if used + weight > limit then
    allowed = 0
    for _, entry in ipairs(live) do
      wait = (entry[1] + 61) * width - now
      rest = rest - entry[2]
      if rest + weight <= limit then break end
    end
    if rest + weight > limit then wait = window end
  end
  answer[#answer + 1] = used
  answer[#answer + 1] = math.ceil(oldest)
  answer[#answer + 1] = math.ceil(wait)
end

answer[1] = allowed
if allowed == 1 then
  for i, key in ipairs(KEYS) do
    local weight = tonumber(ARGV[2 * i])
    if weight > 0 then
      redis.call('HINCRBY', key, bucket, weight)
      redis.call('PEXPIRE', key, math.ceil(window / 1000) + math.ceil(width / 1000) + 1)
      answer[3 * i - 1] = answer[3 * i - 1] + weight
    end
  end
end
return answer
