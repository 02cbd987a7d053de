-- 07 The head and its training loop, written out.
--
--   scripts/luma examples/07_head.lua
--
-- Features are computed once; what is trained is one dense layer.  The loop below
-- is all there is to training: forward on a tape, loss, backward, step.  (The images
-- here are raw, black bars and all: what the head learns may be the bars.  The
-- main job, example 08, prepares them first.)

local luma = require "luma"
local data, metrics, models, nn, optim = luma.data, luma.metrics, luma.models, luma.nn, luma.optim

luma.seed(7)
local index = assert(data.phantom { dir = "runs/examples/phantoms_96", count = 96, seed = 7 })
local split = index:stratify { train = 0.75, test = 0.25, seed = 7 }
print(split)

-- Features of a part: batches through the frozen base.
local base = assert(models.tiny()):freeze()
print("base:", base.weights.note)
local function features_of(part)
  local xs, ys = {}, {}
  for x, y in part:batches { size = 16, height = base.input.height, width = base.input.width,
    scale = base.input.scale } do
    local f = base(x)
    xs[#xs + 1] = f:reshape(#x, f:count() // #x)
    ys[#ys + 1] = y
  end
  return luma.concat(xs, 1), luma.concat(ys, 1)
end
local x, y = features_of(split.train)
local x_test, y_test = features_of(split.test)
print("training features:", x)

-- The head of the article: dropout and one dense layer.  Its weights start at
-- random (Glorot), its biases at zero.
local head = nn.Sequential { nn.Dropout(0.5), nn.Linear(x:size(2), 2) }
local adam = optim.Adam(head:parameters(), { lr = 1e-3 })

local function accuracy_of(inputs, labels)
  local said = head(inputs):argmax(2) -- no tape: no dropout
  return metrics.accuracy(labels, said)
end

local rng = luma.rng(7)
for epoch = 1, 60 do
  local mean, order = metrics.Mean(), rng:permutation(#x)
  for first = 1, #x, 32 do
    local ids = luma.tensor({ table.unpack(order, first, math.min(first + 31, #x)) }, "i32")
    local bx, by = x:index_select(1, ids), y:index_select(1, ids)

    local tape <close> = luma.tape()                    -- what happens now is recorded
    local loss = luma.cross_entropy(head(bx), by)       -- softmax and logarithm in one
    tape:backward(loss)                                 -- p:grad() for every weight
    adam:step()                                         -- w = w - rate * m / (sqrt(v) + eps)
    mean:add(loss:item(), #bx)
  end                                                   -- the tape closes: all of it is freed
  if epoch % 10 == 0 then
    print(("epoch %2d   loss %s   accuracy: train %.3f, test %.3f"):format(epoch, mean, accuracy_of(x, y),
      (accuracy_of(x_test, y_test))))
  end
end

-- The gradient that the tape gives is the one of the formula: for softmax and
-- cross-entropy, (probability - truth) times the input, averaged.
do
  local dense, tape <close> = head[2], luma.tape()
  tape:backward(luma.cross_entropy(dense(x), y))
  local p = luma.softmax(x:matmul(dense.weight) + dense.bias, 2)
  local by_hand = x:t():matmul(p - luma.one_hot(y, 2)) / #x
  print(("gradient of the tape against the formula: largest difference %.1e"):format(
    (dense.weight:grad() - by_hand):abs():max():item()))
end

-- Numbers with their uncertainty.
local p = luma.softmax(head(x_test), 2):totable()
local said, score = {}, {}
for i, row in ipairs(p) do said[i], score[i] = row[1] >= row[2] and 1 or 2, row[1] end
local truth = y_test:totable()
print((metrics.classification_report(truth, said, { labels = { 1, 2 }, names = index.classes })))
local _, right, n = metrics.accuracy(truth, said)
local w, auc = metrics.wilson(right, n), metrics.roc_auc(truth, score, { positive = 1 })
print(("accuracy %.3f (95 %% interval %.3f to %.3f)"):format(w.value, w.lo, w.hi))
print(("AUC      %.3f (95 %% interval %.3f to %.3f)"):format(auc.value, auc.lo, auc.hi))
