-- 01 Tensors: numbers in boxes, counted from 1.
--
--   scripts/luma examples/01_tensors.lua
--
-- Everything later is made of these few ideas: a tensor has a shape and a dtype,
-- slices are views that share memory, and an operation makes a new tensor.

local luma = require "luma"

-- A tensor from a Lua table: rows inside rows.  f32 unless another type is asked for.
local x = luma.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
print("x", x)
print("its shape, as two values:", x:shape())
print("rows:", #x, "columns:", x:size(2), "type:", x:dtype())

-- Indexing counts from 1; negative numbers count from the end, as in Lua's own
-- string functions.  x[i] is a view: writing to it writes to x.
local second = x[2]
second[1] = 40
print("x after x[2][1] = 40", x)
print("last column", x[{ {}, -1 }])
print("columns 1 to 2", x[{ {}, { 1, 2 } }])

-- Operations work element by element and make new tensors; a row is stretched
-- over all rows (broadcasting), and a shape that cannot fit is an error in words.
print("x * 2 + 1", x * 2 + 1)
print("x - mean of each column", x - x:mean(1, { keepdim = true }))
local ok, message = pcall(function() return x + luma.tensor { 1, 2 } end)
print("x + two numbers:", ok, message)

-- Reductions over everything, or over one dimension.
print("sum", x:sum():item(), "mean", x:mean():item(), "largest", x:max():item())
print("sum of each row", x:sum(2))

-- Matrix products, and a check against doing it by hand.
local a, b = luma.tensor { { 1, 2 }, { 3, 4 } }, luma.tensor { { 0, 1 }, { 1, 0 } }
local product = a:matmul(b)
print("a x b", product)
assert(product[1][1] == 2 and product[1][2] == 1 and product[2][1] == 4 and product[2][2] == 3)

-- Images are u8: whole numbers from 0 to 255 in one byte each; networks
-- compute in f32.  Conversion is asked for, never silent.
local pixels = luma.tensor({ 0, 128, 255 }, "u8")
print("pixels as the article scales them", pixels:to "f32" / 255)

-- Random numbers come from a seed: the same seed, the same numbers, on one
-- thread or on many.
luma.seed(7)
local r = luma.randn(1000)
luma.seed(7)
assert(r:equal(luma.randn(1000)))
print(("1000 normal numbers: mean %.3f, deviation %.3f"):format(r:mean():item(), r:std():item()))

-- Large tensors print in one line; x:stats() tells more.
print(luma.zeros(32, 224, 224, 3))

-- Memory is freed when the last view of it goes; x:close() does it now, and a
-- variable marked <close> does it at the end of its block.
do
  local big <close> = luma.zeros(1000, 1000)
  print(("held while big lives: %d bytes"):format(luma.memory().live))
  big:fill_(1)
end
print(("and after: %d bytes"):format(luma.memory().live))
