-- Every op with every kind of silly argument: only Lua errors may come out, and
-- nothing may be left behind.  New ops are covered the day they enter the table.
describe("ops under silly arguments", function()
  local luma = require "luma"
  local uv = require "luv"
  local core = luma.core

  -- Test hooks and process-wide switches: pulling them is their purpose.
  local left_out = { ["system.unlock"] = true, ["system.watch_interrupts"] = true }
  local function skipped(name)
    return left_out[name] or name:match "^hook%." or name:match "^system%.interrupt"
  end

  local function silly_values()
    local closed = luma.zeros(2)
    closed:close()
    local scalars = {
      true, "x", "", "f64", "3", function() end, coroutine.create(function() end), io.stdout,
      1, 2, 1.5, 0 / 0, 1 / 0, -1 / 0, -1, 0, 2 ^ 31, 2 ^ 53 + 1, math.maxinteger, math.mininteger,
      {}, { 1 }, { 2, 2 }, { -1 }, { 2 ^ 40, 2 ^ 40 }, { "x" }, { {} }, { nope = 1 }, { stride = 0 },
      setmetatable({}, { __index = error, __len = error }), luma.rng(1),
    }
    local tensors = {
      luma.zeros(), luma.zeros(0), luma.ones(3), luma.ones(2, 3), luma.ones(3, 2):t(),
      luma.zeros(0, 3),
      luma.ones(2, 3, "f64"), luma.full({ 4, 4, 3 }, 7, "u8"),
      luma.ones(2, "i32"), luma.full({ 2, 3 }, -5, "i32"),
      luma.ones(1, 5, 5, 2), luma.ones(3, 3, 2, 2), luma.zeros(0, 5, 5, 2), luma.ones(1, 1, 1, 1, 1, 1, 1, 1),
      luma.full({ 3 }, 0 / 0), luma.full({ 3 }, 1 / 0), luma.ones(3):expand(4, 3), closed, { luma.ones(2),
      luma.ones(3) },
    }
    return scalars, tensors
  end

  -- A small linear congruential walk: the same calls in every run.
  local seed = 12345
  local function pick(list)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return list[seed // 65536 % #list + 1]
  end

  local before, folder, threads
  setup(function()
    folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/luma-fuzz-XXXXXX"))
    before, threads = uv.cwd(), luma.threads()
    uv.chdir(folder)
    luma.memory { limit = luma.memory().live + (64 << 20) }
  end)
  teardown(function()
    uv.chdir(before)
    os.execute("rm -rf '" .. folder .. "'")
    luma.memory { limit = 0 }
    luma.threads(threads)
    luma.seed(0)
  end)

  local function call(op, ...)
    local ok, message = pcall(op.fn, ...)
    if ok then return end
    assert(type(message) == "string", op.name .. " raised a " .. type(message))
    assert(not message:find("attempt to index", 1, true), op.name .. ": " .. message)
  end

  for _, op in ipairs(core.oplist) do
    if not skipped(op.name) then
      it(op.name, function()
        local scalars, tensors = silly_values()
        local all = {}
        for _, v in ipairs(scalars) do all[#all + 1] = v end
        for _, v in ipairs(tensors) do all[#all + 1] = v end
        call(op)
        call(op, nil, nil, nil)
        for _, a in ipairs(all) do
          call(op, a)
          call(op, a, nil, a)
          for _, b in ipairs(tensors) do call(op, a, b) end
        end
        for _ = 1, 150 do call(op, pick(tensors), pick(all)) end
        for _ = 1, 150 do call(op, pick(tensors), pick(all), pick(all)) end
        for _ = 1, 150 do call(op, pick(tensors), pick(tensors), pick(all), pick(all)) end
        for _ = 1, 100 do call(op, pick(all), pick(all), pick(all), pick(all), pick(all)) end
        luma.threads(threads)
      end)
    end
  end

  it("leaves no tensor behind", function()
    collectgarbage() collectgarbage()
    local start = luma.memory().live
    for _, op in ipairs(core.oplist) do
      if not skipped(op.name) then
        local _, tensors = silly_values()
        for _ = 1, 20 do call(op, pick(tensors), pick(tensors), pick(tensors)) end
      end
    end
    collectgarbage() collectgarbage()
    assert.equal(start, luma.memory().live)
  end)
end)
