-- Asks ringman for the owner of a request's key, and names the server that it is in txn.ringman_server. Without an answer, or
-- where none of the owners is in use, it names none. docs/proxies.md explains it.

local URL = "http://127.0.0.1:8480/v1/route"
local BACKEND = "application"
-- The headers in which keys may be: those of ringman's --route-key.
local KEY_HEADERS = { "x-key", "cookie" }
local TIMEOUT_MS = 250

-- Name and object of each server, by address; DNS changes them.
local servers = {}

core.register_task(function()
  while true do
    local found = {}
    for name, server in pairs(core.backends[BACKEND].servers) do
      local address = server:get_addr()
      if address then found[address] = { name = name, server = server } end
    end
    servers = found
    core.msleep(200)
  end
end)

core.register_action("ringman", { "http-req" }, function(txn)
  local given, headers = txn.http:req_get_headers(), {}
  for _, name in ipairs(KEY_HEADERS) do
    if given[name] then
      headers[name] = {}
      for at = 0, #given[name] do headers[name][at + 1] = given[name][at] end
    end
  end
  local answer = core.httpclient():get({ url = URL .. txn.sf:pathq(), headers = headers, timeout = TIMEOUT_MS })
  local owners = answer and answer.status == 200 and answer.headers["x-ringman-owner"]
  if not owners then return end
  for address in owners[0]:gmatch("[^,]+") do
    -- HAProxy shows IPv6 addresses without brackets.
    local owner = servers[(address:gsub("[%[%]]", ""))]
    if owner and owner.server:get_stats()["status"]:sub(1, 2) == "UP" then
      txn:set_var("txn.ringman_server", owner.name)
      return
    end
  end
end)
