-- Builds the environment that scripts see. Runs once per interpreter, before any script.
--
-- Arguments: `pool`, which gets what scripts may name; `fix`, which turns a caught error into what
-- a script may see, or raises it again when the script has to end; `report`, which takes down what
-- ended a script and where. Returns the environment and the function that runs a script.
--
-- Scripts get empty tables that look into the true ones, because Lua 5.1 has no read-only tables.
local pool, fix, report = ...

local raw_pcall, raw_xpcall, raw_rawset = pcall, xpcall, rawset
local error, setmetatable, tostring, select, type = error, setmetatable, tostring, select, type
local resume = coroutine.resume

local fixed = setmetatable({}, { __mode = 'k' })

local function refuse()
  error('Attempt to modify a readonly table', 2)
end

local function shield(inner)
  local outer = setmetatable({}, { __index = inner, __newindex = refuse, __metatable = false })
  fixed[outer] = true
  return outer
end

local function caught(ok, ...)
  if ok then
    return true, ...
  end
  return false, fix((...))
end

function pool.pcall(...)
  return caught(raw_pcall(...))
end

function pool.xpcall(body, handler)
  return caught(raw_xpcall(body, function(err)
    return handler(fix(err))
  end))
end

function pool.rawset(place, name, value)
  if fixed[place] then
    error('Attempt to modify a readonly table', 2)
  end
  return raw_rawset(place, name, value)
end

for _, name in ipairs {
  '_VERSION', 'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'rawequal', 'rawget',
  'select', 'setmetatable', 'tonumber', 'tostring', 'type', 'unpack',
} do
  pool[name] = _G[name]
end

coroutine.resume = function(...)
  return caught(resume(...))
end
string.dump = nil
getmetatable('').__metatable = false

pool.coroutine = shield(coroutine)
pool.string = shield(string)
pool.table = shield(table)
for _, name in ipairs { 'bit', 'cjson', 'cmsgpack', 'math', 'os', 'redis', 'struct' } do
  pool[name] = shield(pool[name])
end
pool.synap = pool.redis

setmetatable(pool, {
  __index = function(_, name)
    local shown = type(name) == 'string' and name or tostring(name)
    error("Script attempted to access nonexistent global variable '" .. shown .. "'", 2)
  end,
})

local environment = shield(pool)
raw_rawset(pool, '_G', environment)

local function run(body, keys, arguments)
  if keys == nil then
    return raw_xpcall(body, report)
  end
  return raw_xpcall(function()
    return body(keys, arguments)
  end, report)
end

return environment, run
