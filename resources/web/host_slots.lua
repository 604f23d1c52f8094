-- One decision on how hard a host is used, atomic, over all processes. Time is the server's own.
--
-- KEYS[1]  sorted set: slots on loan, token -> ms when the loan ends by itself
-- KEYS[2]  sorted set: processes that wait for a slot -> ms since when
-- KEYS[3]  sorted set: the same processes -> ms when they looked last
-- KEYS[4]  hash: next (ms: no start before, for Crawl-delay), held (ms: the host asked for a pause until then)
-- ARGV     decision, then
--   take   token, process, slots in all, ms between two starts, ms of the loan
--   give   token
--   keep   ms of the loan, token, token, ...
--   hold   ms
-- answers  {taken 0|1, ms to wait if known, held 0|1}
--
-- Processes are served in the order in which they came. One that no longer looks is forgotten, and so is a loan that
-- nobody keeps: a killed worker blocks a host for seconds.
local slots, queue, seen, pace = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local FORGET_MS = 1500

local clock = redis.call('TIME')
local now = math.floor(tonumber(clock[1]) * 1000 + tonumber(clock[2]) / 1000)

local function set_pace(field, until_ms)
  redis.call('HSET', pace, field, until_ms)
  redis.call('PEXPIRE', pace, math.max(redis.call('PTTL', pace), until_ms - now + 1000))
end

local decision = ARGV[1]
if decision == 'give' then
  redis.call('ZREM', slots, ARGV[2])
  return {0, 0, 0}
elseif decision == 'keep' then
  local ends = now + tonumber(ARGV[2])
  for index = 3, #ARGV do
    redis.call('ZADD', slots, 'XX', ends, ARGV[index])
  end
  redis.call('PEXPIRE', slots, tonumber(ARGV[2]) + 1000)
  return {0, 0, 0}
end

local known = redis.call('HMGET', pace, 'next', 'held')
local next_start, held = tonumber(known[1] or '0'), tonumber(known[2] or '0')
if decision == 'hold' then
  set_pace('held', math.max(held, now + tonumber(ARGV[2])))
  return {0, 0, 0}
end

local token, process, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local delay, loan = tonumber(ARGV[5]), tonumber(ARGV[6])
if held > now then
  redis.call('ZREM', queue, process)
  redis.call('ZREM', seen, process)
  return {0, held - now, 1}
end
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - FORGET_MS)) do
  redis.call('ZREM', queue, gone)
  redis.call('ZREM', seen, gone)
end
local ahead = redis.call('ZRANK', queue, process) or redis.call('ZCARD', queue)
if next_start <= now and limit - redis.call('ZCARD', slots) > ahead and (delay == 0 or ahead == 0) then
  redis.call('ZADD', slots, now + loan, token)
  redis.call('PEXPIRE', slots, loan + 1000)
  redis.call('ZREM', queue, process)
  redis.call('ZREM', seen, process)
  if delay > 0 then
    set_pace('next', now + delay)
  end
  return {1, 0, 0}
end
redis.call('ZADD', queue, 'NX', now, process)
redis.call('ZADD', seen, now, process)
redis.call('PEXPIRE', queue, FORGET_MS)
redis.call('PEXPIRE', seen, FORGET_MS)
return {0, math.max(0, next_start - now), 0}
