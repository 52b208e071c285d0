-- Sends the requests of a file one after the other. Each stands there as its length, a line feed and its bytes.
local requests, at = {}, 0

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    while true do
        local length = file:read("*n")
        if not length then break end
        file:read(1)
        requests[#requests + 1] = file:read(length)
    end
    file:close()
    assert(#requests > 0, "no requests")
end

function request()
    at = at % #requests + 1
    return requests[at]
end
