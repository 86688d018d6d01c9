-- Sliding windows, exact: no span of one window ever holds more than the limit.
--
-- KEYS: the gateway's marker, then for each request its subjects, one after the other; each is a hash,
-- bucket number:gateway -> weight that the gateway used in it.
-- ARGV: window in microseconds, the gateway's name, its epoch, then for each request the number of its subjects, then for each
-- of these weight and limit.
-- Returns nothing when the marker does not have this epoch: what is here may not be all, or the question is out of date.
-- Else the time in microseconds, then for each request: allowed (1 or 0), then for each subject: weight used before it,
-- microseconds until the oldest bucket leaves the window, microseconds until the weight would fit (0 when it does).
--
-- A window is 60 buckets. The bucket that the window begins in counts whole, so what is counted is never too little.
-- All subjects of a request are checked before any is charged: a refused request costs nothing.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local window = tonumber(ARGV[1])
local width = window / 60
local bucket = math.floor(now / width)
local name = ARGV[2]
local keep = math.ceil((window + width) / 1000) + 1

if redis.call('GETEX', KEYS[1], 'PX', 2 * keep) ~= ARGV[3] then return {} end

local function leaves(b)
  return math.ceil((b + 61) * width - now)
end

local subjects = {}

local function subject(key)
  if subjects[key] then return subjects[key] end
  local s = {used = 0, added = 0, live = {}}
  local stored, gone, entries = redis.call('HGETALL', key), {}, {}
  for i = 1, #stored, 2 do
    local b, weight = tonumber(string.match(stored[i], '^%d+')), tonumber(stored[i + 1])
    if b < bucket - 60 then
      gone[#gone + 1] = stored[i]
    else
      if entries[b] then
        entries[b][2] = entries[b][2] + weight
      else
        entries[b] = {b, weight}
        s.live[#s.live + 1] = entries[b]
      end
      s.used = s.used + weight
    end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  table.sort(s.live, function(a, b) return a[1] < b[1] end)
  subjects[key] = s
  return s
end

local function charge(s, weight)
  if weight == 0 then return end
  local last = s.live[#s.live]
  if last and last[1] == bucket then
    last[2] = last[2] + weight
  else
    s.live[#s.live + 1] = {bucket, weight}
  end
  s.used = s.used + weight
  s.added = s.added + weight
end

local function wait(s, weight, limit)
  local rest = s.used
  if rest + weight <= limit then return 0 end
  for _, entry in ipairs(s.live) do
    rest = rest - entry[2]
    if rest + weight <= limit then return leaves(entry[1]) end
  end
  return window
end

local answer, key, argument = {now}, 2, 4
while argument <= #ARGV do
  local count, allowed, rows = tonumber(ARGV[argument]), 1, {}
  for i = 1, count do
    local s = subject(KEYS[key + i - 1])
    local weight, limit = tonumber(ARGV[argument + 2 * i - 1]), tonumber(ARGV[argument + 2 * i])
    if s.used + weight > limit then allowed = 0 end
    rows[i] = {s, weight, limit}
  end
  answer[#answer + 1] = allowed
  for _, row in ipairs(rows) do
    local s, weight, limit = row[1], row[2], row[3]
    answer[#answer + 1] = s.used
    answer[#answer + 1] = s.live[1] and leaves(s.live[1][1]) or window
    answer[#answer + 1] = wait(s, weight, limit)
    if allowed == 1 then charge(s, weight) end
  end
  key, argument = key + count, argument + 1 + 2 * count
end

for key_name, s in pairs(subjects) do
  if s.added > 0 then
    redis.call('HINCRBY', key_name, bucket .. ':' .. name, s.added)
    redis.call('PEXPIRE', key_name, keep)
  end
end
return answer
