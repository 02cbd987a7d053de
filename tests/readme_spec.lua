-- What README.md shows is what happens: its blocks marked "run" are executed in
-- order in one folder, and what stands behind --> is compared.  Blocks marked
-- "data" run where the research data lie beside the repository.
local luma = require "luma"
local uv = require "luv"
local files = luma.files

local top = uv.cwd()
local shared = files.join(files.dirname(top), "shared")

-- {kind = "run" | "run slow" | "data", language =, source =, line =}
local function blocks(text)
  local out, current, number = {}, nil, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    if current and line == "```" then
      current.source = table.concat(current, "\n") .. "\n"
      out[#out + 1], current = current, nil
    elseif current then
      current[#current + 1] = line
    elseif line:match "^```" then
      local language, kind = line:match "^```(%l+) ?([%l ]*)$"
      current = { language = language, kind = kind, line = number }
    end
  end
  return out
end

local function squeeze(line) return (line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

describe("README.md", function()
  local readme = assert(files.read "README.md")
  local place = os.tmpname()
  os.remove(place)
  local built = os.getenv "LUMA_BUILD" or "build"

  setup(function()
    assert(files.mkdir_p(place))
    assert(uv.fs_symlink(files.join(top, "scripts"), files.join(place, "scripts")))
  end)
  teardown(function() os.execute(("rm -rf '%s'"):format(place)) end)

  -- Runs a block in the common folder: whether it ended well, and what it printed.
  local function run(block)
    local name, log = files.join(place, "block." .. block.language), files.join(place, "log")
    assert(files.write_atomic(name, block.source))
    local how = block.language == "lua" and "scripts/luma block.lua" or "sh -e block.sh"
    local ok = os.execute(("cd '%s' && LUMA_BUILD='%s' LUMA_HISTORY= %s >log 2>&1 </dev/null"):format(place,
      files.join(top, built), how))
    return ok, assert(files.read(log))
  end

  local function compare(block, text)
    local said, at = {}, 0
    for line in text:gmatch "[^\n]+" do said[#said + 1] = squeeze(line) end
    for want in block.source:gmatch "%-%->%s*([^\n]*)" do
      local found
      for i = at + 1, #said do
        if said[i]:sub(1, #squeeze(want)) == squeeze(want) then found = i break end
      end
      assert.truthy(found, ("README.md block at line %d promises '%s', prints:\n%s"):format(block.line, want, text))
      at = found
    end
  end

  for _, block in ipairs(blocks(readme)) do
    local title = ("%s block at line %d"):format(block.language, block.line)
    if block.kind:match "^run" then
      it(title .. (block.kind:match "slow" and " #slow" or ""), function()
        local ok, text = run(block)
        assert.truthy(ok, text)
        compare(block, text)
      end)
    elseif block.kind == "data" then
      it(title .. " #slow", function()
        local weights
        for _, name in ipairs(files.list(files.join(shared, "weights")) or {}) do
          if name:match "%.h5$" then weights = files.join(shared, "weights", name) end
        end
        if not weights then return pending "the research data and weights are absent" end
        local links = { ["covid-chestxray-dataset"] = files.join(shared, "data", "covid-chestxray"),
          rsna = files.join(shared, "data", "rsna"), ["vgg19.h5"] = weights }
        for name, target in pairs(links) do assert(uv.fs_symlink(target, files.join(place, name))) end
        local ok, text = run(block)
        assert.truthy(ok, text)
      end)
    else
      it(title .. " says how it is to be read", function()
        error("README.md line " .. block.line .. ": mark the block run, run slow or data")
      end)
    end
  end

  it("points to a manual that has every op and well-formed blocks", function()
    local pipe = assert(io.popen(("LUMA_BUILD='%s' scripts/luma manual"):format(built)))
    local manual, fences = pipe:read "a", 0
    pipe:close()
    for _, op in ipairs(luma.core.oplist) do
      assert.truthy(manual:find("**`" .. op.name .. "`**", 1, true), op.name)
      assert.truthy(op.doc:match "^%u.*%.$", op.name .. ": a sentence")
    end
    for _ in manual:gmatch "\n *```" do fences = fences + 1 end
    assert.equal(0, fences % 2)
  end)

  it("names every command, and every variable the code reads", function()
    for _, command in ipairs(require("luma.cli.commands").list()) do
      assert.truthy(readme:find(command.name, 1, true), command.name)
    end
    local pipe = assert(io.popen [[grep -rhoE 'getenv[ (]*"LUMA_[A-Z]+"|\$\{LUMA_[A-Z]+' csrc lua scripts]])
    for line in pipe:lines() do
      local name = line:match "LUMA_%u+"
      assert.truthy(readme:find(name, 1, true), name)
    end
    pipe:close()
  end)
end)
