-- Makes a gateway's own weights what it says they are, whatever was there.
--
-- KEYS: the gateway's marker, then subjects.
-- ARGV: window in microseconds, the gateway's name, its epoch, 1 when this is the last part (the marker is set then), and for
-- each subject the number of its buckets, then bucket and weight of each.
-- An epoch older than the marker's does nothing.

local window, name, epoch = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
if known > epoch then return 0 end

local keep = math.ceil(window / 1000 * 61 / 60) + 1
local argument = 5
for k = 2, #KEYS do
  local key, count = KEYS[k], tonumber(ARGV[argument])
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.match(field, ':(.*)$') == name then redis.call('HDEL', key, field) end
  end
  for i = 1, count do
    redis.call('HSET', key, ARGV[argument + 2 * i - 1] .. ':' .. name, ARGV[argument + 2 * i])
  end
  if count > 0 then redis.call('PEXPIRE', key, keep) end
  argument = argument + 1 + 2 * count
end

if ARGV[4] == '1' then redis.call('SET', KEYS[1], epoch, 'PX', 2 * keep) end
return 1
