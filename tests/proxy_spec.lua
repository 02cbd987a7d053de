-- Tables that lie: every op that takes a table is given ones whose __index,
-- __len and __pairs answer something else at each read, raise, yield, or close
-- the tensors in play.  Only Lua errors may come out (the address sanitizer sees
-- the rest: make asan), and honest proxies must work as plain tables do.
describe("tables with metamethods", function()
  local luma = require "luma"
  local core = luma.core
  local folders = require "support.folder"

  local dir
  setup(function() dir = folders.new() end)
  teardown(function() folders.remove(dir) end)

  -- A proxy of `t` that answers honestly, at every depth.
  local function honest(t)
    if type(t) ~= "table" then return t end
    return setmetatable({}, {
      __index = function(_, key)
        collectgarbage "step"
        return honest(t[key])
      end,
      __len = function() return #t end,
    })
  end

  -- Ways of lying about `t`; `victims` are the tensors of the call.
  local function liars(t, victims)
    local function proxy(index, len, pairs_)
      return setmetatable({}, { __index = index, __len = len or function() return #t end, __pairs = pairs_ })
    end
    local function counted(first, later)
      local reads = {}
      return function(_, key)
        reads[key] = (reads[key] or 0) + 1
        collectgarbage()
        if reads[key] <= 1 then return first(key) end
        return later(key)
      end
    end
    local function get(key) return t[key] end
    local function close_all()
      for _, x in ipairs(victims) do if x.close then x:close() end end
    end
    local function fresh(key) -- strings and tensors that nothing else holds
      local v = t[key]
      if type(v) == "string" then return (v .. "x"):sub(1, -2) end
      if type(v) == "table" then return proxy(function(_, k) return v[k] end, function() return #v end) end
      return v
    end
    local list = {
      proxy(counted(get, function() return nil end)),
      proxy(counted(get, function() return luma.ones(1) end)),
      proxy(counted(fresh, fresh)),
      proxy(function() error "no" end),
      proxy(function() coroutine.yield() end),
      proxy(function(_, key) close_all() return t[key] end),
      proxy(get, function() close_all() return #t end),
      proxy(get, function() error "no" end),
      proxy(get, function() return #t + 1 end),
      proxy(get, function() return -1 end),
      proxy(get, function() return math.maxinteger end),
      proxy(get, function() return "three" end),
      proxy(get, nil, function() close_all() return next, t end),
      proxy(get, nil, function() return function() error "no" end end),
      proxy(get, nil, function() return 7 end),
      proxy(function() return 1 end),
      proxy(function() return {} end),
    }
    local cycle = {}
    cycle[1] = setmetatable({}, { __index = function() return cycle end, __len = function() return 1 end })
    list[#list + 1] = cycle
    return list
  end

  local function conv() return luma.rand(1, 8, 8, 3), luma.rand(3, 3, 3, 4) end
  local function images() return luma.full({ 2, 8, 8, 3 }, 9, "u8") end

  -- Real calls of the ops that read tables: name -> function that gives the arguments.
  local calls = {
    conv2d = function()
      local x, w = conv()
      return x, w, nil, { stride = { 1, 2 }, pad = { 1, 1, 1, 1 }, dilation = 1, relu = true }
    end,
    max_pool2d = function()
      return luma.rand(1, 8, 8, 3), { kernel = { 2, 2 }, stride = { 2, 2 }, pad = { 0, 0, 0, 0 } }
    end,
    avg_pool2d = function() return luma.rand(1, 8, 8, 3), { kernel = { 2, 2 }, stride = 2, count_pad = true } end,
    concat = function() return { luma.ones(2, 3), luma.ones(2, 3) }, 1 end,
    stack = function() return { luma.ones(2, 3), luma.ones(2, 3) }, 1 end,
    split = function() return luma.ones(4, 3), { 1, 3 }, 1 end,
    zeros = function() return { 2, 3 } end,
    reshape = function() return luma.ones(2, 3), { 3, -1 } end,
    permute = function() return luma.ones(2, 3), { 2, 1 } end,
    expand = function() return luma.ones(1, 3), { 4, 3 } end,
    get = function() return luma.ones(4, 3), { { 1, 2 }, 2 } end,
    set = function() return luma.ones(4, 3), { { 1, 2 }, 2 }, 5 end,
    sum = function() return luma.ones(4, 3), { 1, 2 } end,
    index_select = function() return luma.ones(4, 3), 1, { 1, 3 } end,
    gather = function() return luma.ones(4, 3), 1, luma.ones(1, 3, "i32") end,
    tensor = function() return { { 1, 2 }, { 3, 4 } } end,
    pad2d = function() return luma.rand(1, 8, 8, 3), { 1, 1, 1, 1 } end,
    rand = function() return 2, 3, { dtype = "f64", rng = luma.rng(1) } end,
    cross_entropy = function()
      return luma.rand(2, 3), luma.tensor({ 1, 2 }, "i32"), { weights = luma.ones(3), smoothing = 0.1 }
    end,
    ["plan.new"] = function()
      local _, w = conv()
      return { { op = "conv", weight = w, bias = luma.ones(4), pad = "same" }, { op = "max_pool", kernel = { 2, 2 } } },
        { height = 8, width = 8, channels = 3 }
    end,
    ["image.crop"] = function() return images(), { top = 1, left = 1, height = 4, width = 4 } end,
    ["image.black_bars"] = function() return luma.full({ 8, 8 }, 0, "u8"), { level = 10, window = { 1, 8 } } end,
    ["image.remove_lines"] = function() return luma.full({ 8, 8, 1 }, 9, "u8"), { 1, 3 }, { 2 } end,
    ["image.warp_batch"] = function() return images(), { { matrix = { 1, 0, 0, 0, 1, 0 } }, { flip_h = true } } end,
    ["image.affine"] = function() return images(), { 1, 0, 0, 0, 1, 0 }, { fill = "nearest" } end,
    ["image.resize"] = function() return images(), 4, 4, { method = "area" } end,
    ["image.hash_pairs"] = function() return { 1, 2, 3 }, 4 end,
    ["image.phantom"] = function() return { size = 64, seed = 3 } end,
    ["image.phantom_files"] = function()
      return { { size = 64 }, { size = 64, seed = 2 } }, { dir .. "/a.jpg", dir .. "/b.jpg" }, 80
    end,
    ["prepare.batch"] = function()
      return { { dir .. "/a.jpg", dir .. "/c.jpg" }, { dir .. "/b.jpg", dir .. "/d.jpg" } }, { size = 32 }
    end,
    ["loader.start"] = function()
      return { height = 8, width = 8 }, { dir .. "/a.jpg", dir .. "/b.jpg" }, { false, { flip_h = true } }
    end,
    ["io.write_file"] = function() return dir .. "/w.bin", "head", { luma.ones(3), luma.ones(2, 2) } end,
    memory = function() return { trim = true } end,
    ["learn.logistic_fit"] = function() return luma.rand(6, 2), luma.tensor({ 1, 2, 1, 2, 1, 2 }, "i32"), { c = 1 } end,
  }

  local ops = {}
  for _, op in ipairs(core.oplist) do ops[op.name] = op end

  local function tables_in(args)
    local at = {}
    for i = 1, args.n do if type(args[i]) == "table" then at[#at + 1] = i end end
    return at
  end

  local function victims_of(args)
    local found = {}
    local function walk(v, depth)
      if luma.core.hook.is_tensor(v) then found[#found + 1] = v
      elseif type(v) == "table" and depth < 4 then
        for _, item in pairs(v) do walk(item, depth + 1) end
      end
    end
    for i = 1, args.n do walk(args[i], 0) end
    return found
  end

  local function guarded(op, args)
    local thread = coroutine.wrap(function() return pcall(op.fn, table.unpack(args, 1, args.n)) end)
    local ok, message = thread()
    if op.name == "memory" then luma.memory { limit = 0 } end -- a liar may have set one
    if ok == false then
      assert(type(message) == "string", op.name .. " raised a " .. type(message))
      assert(not message:find("attempt to index", 1, true), op.name .. ": " .. message)
    end
    return ok, message
  end

  for name, make in pairs(calls) do
    it(name .. " reads an honest proxy as the table itself", function()
      local op = assert(ops[name], "no op " .. name)
      local plain = table.pack(make())
      assert(guarded(op, plain))
      local args = table.pack(make())
      for _, i in ipairs(tables_in(args)) do args[i] = honest(args[i]) end
      local ok, message = guarded(op, args)
      assert(ok, message)
    end)

    it(name .. " survives tables that lie", function()
      local op = ops[name]
      for _, i in ipairs(tables_in(table.pack(make()))) do
        local kinds = #liars({}, {})
        for kind = 1, kinds do
          local args = table.pack(make())
          args[i] = liars(args[i], victims_of(args))[kind]
          guarded(op, args)
          -- and one level deeper
          args = table.pack(make())
          for key, value in pairs(args[i]) do
            if type(value) == "table" then
              args[i][key] = liars(value, victims_of(args))[kind]
              guarded(op, args)
              break
            end
          end
        end
      end
      collectgarbage()
    end)
  end

  it("phantom_files writes every path of a list behind __index", function()
    local drawings, kept = {}, {}
    for i = 1, 12 do drawings[i] = { size = 64, image = i } end
    local paths = setmetatable({}, {
      __len = function() return #drawings end,
      __index = function(_, i)
        collectgarbage()
        kept = nil
        return ("%s/behind-%d.jpg"):format(dir, i)
      end,
    })
    assert.equal(12, luma.image.phantom_files(drawings, paths))
    for i = 1, 12 do assert.truthy(luma.files.is_file(("%s/behind-%d.jpg"):format(dir, i)), i) end
    assert.is_nil(kept)
  end)

  it("a table that lies cannot change another argument after it was read", function()
    local w = luma.rand(3, 3, 3, 4)
    local steps = { { op = "conv", weight = w, pad = "same" } }
    local options = setmetatable({}, { __index = function(_, key)
      steps[1].weight = nil -- the first argument is a plain table
      w:close()
      return ({ height = 8, width = 8, channels = 3 })[key]
    end })
    local ok, message = pcall(core.plan.new, steps, options)
    assert(ok or type(message) == "string")
    local list = { luma.ones(2), luma.ones(2) }
    local dim = setmetatable({}, { __index = function() list[2] = nil return 1 end, __len = function() return 1 end })
    ok, message = pcall(luma.sum, luma.ones(2, 2), dim)
    assert(ok or type(message) == "string")
    assert.has_no_error(function() luma.stack(list) end)
  end)

  it("tables that hold themselves or share parts end with an answer at once", function()
    local loop = {}
    loop[1] = loop
    assert.is_false((pcall(luma.tensor, loop)))
    local deep = setmetatable({ 1 }, {})
    for _ = 1, 12 do deep = { deep, deep } end -- 2^12 ways to the same table
    local began = os.clock()
    pcall(luma.tensor, deep)
    assert.truthy(os.clock() - began < 2)
  end)

  it("options behind __index count, and unknown ones of the table itself are refused", function()
    local x, w = conv()
    local defaults = setmetatable({}, { __index = { stride = 2 } })
    assert.same({ 1, 3, 3, 4 }, { luma.conv2d(x, w, nil, defaults):shape() })
    local wrong = setmetatable({ strides = 2 }, { __index = { pad = 1 } })
    local ok, message = pcall(luma.conv2d, x, w, nil, wrong)
    assert.is_false(ok)
    assert.truthy(message:find("unknown option 'strides'", 1, true), message)
  end)

  -- Every other op, whatever it takes: liars in each position beside tensors.
  for _, op in ipairs(core.oplist) do
    if not calls[op.name] and not op.name:match "^hook%." and not op.name:match "^system%." then
      it(op.name .. " survives lying tables in every position", function()
        for position = 1, 4 do
          for kind = 1, #liars({}, {}) do
            local args = { n = 4, luma.ones(2, 3), luma.ones(2, 3), luma.ones(3), luma.ones(3) }
            args[position] = liars({ 1, 2 }, { args[1], args[2], args[3], args[4] })[kind]
            guarded(op, args)
          end
        end
      end)
    end
  end
end)
