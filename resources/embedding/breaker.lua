-- One decision of the circuit breaker, atomic. Time is the server's own, so no two hosts can disagree about it.
--
-- KEYS[1]  hash: state, until (ms: open until), successes, probe (token), probe_until (ms), since (ms), reason
-- KEYS[2]  sorted set: the failures of the closed state, token -> ms
-- ARGV     decision, token, reason, failure_threshold, window ms, reset ms, success_threshold, probe lease ms
-- answers  {state before, state after, allowed 0|1, wait ms, is probe 0|1, since ms ago, reason}
--
-- closed     every call passes. `failure_threshold` failures within the window, with no success between them, open it.
-- open       no call passes until `until`.
-- half_open  one call at a time passes: the holder of the probe. Its success counts, its failure opens again; what
--            other calls report, begun before, says nothing about now. A probe that never reports loses its lease.
-- `since` is when it left `closed`, however often it was half_open meanwhile: since when the dependency is away.
local hash, failures = KEYS[1], KEYS[2]
local decision, token, reason = ARGV[1], ARGV[2], ARGV[3]
local failure_threshold, window, reset = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local success_threshold, lease = tonumber(ARGV[7]), tonumber(ARGV[8])

local clock = redis.call('TIME')
local now = math.floor(tonumber(clock[1]) * 1000 + tonumber(clock[2]) / 1000)
-- A breaker that nobody asked for a day is forgotten: its dependency may have moved.
local keep = math.max(86400000, 2 * (window + reset + lease))

local held = redis.call('HMGET', hash, 'state', 'until', 'successes', 'probe', 'probe_until', 'since', 'reason')
local before = held[1] or 'closed'
local open_until, successes = tonumber(held[2] or '0'), tonumber(held[3] or '0')
local probe, probe_until = held[4] or '', tonumber(held[5] or '0')
local since, last_reason = tonumber(held[6] or '0'), held[7] or ''
local state, allowed, wait, is_probe = before, 0, 0, 0

local function open(why)
  if before == 'closed' then
    since = now
  end
  state, last_reason = 'open', why
  redis.call('HSET', hash, 'state', 'open', 'until', now + reset, 'successes', 0, 'probe', '', 'probe_until', 0,
    'since', since, 'reason', why)
  redis.call('PEXPIRE', hash, keep)
  redis.call('DEL', failures)
end

local function release()
  redis.call('HSET', hash, 'probe', '', 'probe_until', 0)
end

local holds_probe = before == 'half_open' and probe ~= '' and probe == token and now < probe_until

if decision == 'allow' then
  if state == 'open' and now >= open_until then
    state, probe_until = 'half_open', 0
    redis.call('HSET', hash, 'state', 'half_open', 'successes', 0, 'probe', '', 'probe_until', 0)
  end
  if state == 'closed' then
    allowed = 1
  elseif state == 'open' then
    wait = open_until - now
  elseif now >= probe_until then
    allowed, is_probe = 1, 1
    redis.call('HSET', hash, 'probe', token, 'probe_until', now + lease)
    redis.call('PEXPIRE', hash, keep)
  else
    wait = probe_until - now
  end
elseif decision == 'success' then
  if state == 'closed' then
    redis.call('DEL', failures)
  elseif holds_probe then
    if successes + 1 >= success_threshold then
      state, since, last_reason = 'closed', now, ''
      redis.call('DEL', hash, failures)
    else
      redis.call('HSET', hash, 'successes', successes + 1)
      release()
    end
  end
elseif decision == 'failure' then
  if state == 'closed' then
    redis.call('ZADD', failures, now, token)
    redis.call('ZREMRANGEBYSCORE', failures, '-inf', now - window)
    redis.call('PEXPIRE', failures, window + 1000)
    if redis.call('ZCARD', failures) >= failure_threshold then
      open(reason)
    end
  elseif holds_probe then
    open(reason)
  end
elseif decision == 'release' then
  if holds_probe then
    release()
  end
elseif state == 'open' then
  wait = math.max(0, open_until - now)
end

local age = 0
if since > 0 then
  age = now - since
end
return {before, state, allowed, wait, is_probe, age, last_reason}
