--- The head on features, one fold at a time: the article's (Flatten, Dropout, Dense,
-- softmax, trained with Adam; rows M3 to M6), or L2-regularised logistic regression,
-- which has one minimum and needs no epochs.  Features may be averaged over places
-- first (pool = "gap").
--
-- Every random choice follows from (seed, fold, epoch), and train.fit keeps a
-- checkpoint, so a run that is interrupted and continued ends with the same bits
-- as one that is not.

local luma = require "luma"
local nn, optim, train = luma.nn, luma.optim, luma.train

local head = {}

-- A seed for each fold.
local function seed_of(config, fold)
  return config.seed << 8 | fold
end

--- How many numbers reach the dense layer: those of an activation of the base,
-- behind its trained layers if there are any.
function head.width(input)
  if input.pool == "gap" then return input.shape[#input.shape] end
  if not input.back then return input.width end
  local width, shape = 1, input.back.output_shape { 1, table.unpack(input.shape) }
  for d = 2, #shape do width = width * shape[d] end
  return width
end

--- A new head; its weights follow from seed, fold and stream (0 unless the fold
-- is cut further).
-- @param input { width, shape, back }: rows of `width` features, which are
--   activations of `shape` (h, w, c); back.build() makes the part of the base that
--   is trained with the head, if any
function head.build(input, classes, config, fold, stream)
  luma.seed(seed_of(config, fold), stream or 0)
  local layers = {}
  if input.back then
    local back = input.back.build()
    layers = { nn.Unflatten(input.shape), back, nn.Scale(1, { name = "unit" }) }
  end
  if input.pool == "gap" then
    if not input.back then layers[#layers + 1] = nn.Unflatten(input.shape) end
    layers[#layers + 1] = nn.GlobalAvgPool2d()
  else
    layers[#layers + 1] = nn.Flatten()
  end
  layers[#layers + 1] = nn.Dropout(config.dropout)
  layers[#layers + 1] = nn.Linear(head.width(input), classes, { name = "dense" })
  return nn.Sequential(layers)
end

--- Class probabilities of rows of features: a list of lists.
function head.probabilities(net, x)
  local out = {}
  local step = net:get "back" and 16 or 256
  for first = 1, #x, step do
    local part <close> = x:narrow(1, first, math.min(step, #x - first + 1))
    local logits <close> = net(part)
    local p <close> = luma.softmax(logits, 2)
    table.move(p:totable(), 1, #p, #out + 1, out)
  end
  return out
end

--- A function from an activation (1, ...) to the head's class scores, without
-- dropout: what explanations ask.
function head.scores(net)
  return function(activation)
    local y = activation
    for i = 1, #net do
      local skip = net[i].type == "Dropout" or (net[i].type == "Unflatten" and y:rank() == 4)
      if not skip then y = net[i](y) end
    end
    return y
  end
end

--- The class with the highest probability; the first of equal ones.
head.argmax = require("luma.base.lists").argmax

-- An iterator over (x, numbers) as train.fit wants it: x times unit, labels,
-- rows.  What the last step was given is closed when the next one is asked for.
local function labelled(index, unit, batches)
  local encoder, x, y = index:encoder(), nil, nil
  return function()
    if x then
      x:close()
      y:close()
    end
    local numbers
    x, numbers = batches()
    if not x then return nil end
    local rows = {}
    for k, i in ipairs(numbers) do rows[k] = index[i] end
    y = encoder:encode(rows)
    if unit ~= 1 then x:mul_(unit) end
    return x, y, rows
  end
end

-- One over the root mean square of the training part's plain features.  Features
-- of different bases and scalings differ a hundredfold in size, and Adam's step
-- does not: without a common unit the head overshoots and is far too sure of
-- itself.  (On the article's images in five folds: log loss 2.4 without, 0.47 with.)
-- With trained layers of the base in between it is their output that counts.
local function unit_of(features, numbers, net)
  local sum, back = 0.0, net:get "back"
  for x in features:plain_batches(numbers, back and 16 or 256) do
    local y = back and back(net[1](x)) or x
    local square <close> = y * y
    local mean <close> = square:mean()
    sum = sum + mean:item() * #x
    y:close()
    x:close()
  end
  local rms = math.sqrt(sum / #numbers)
  return rms > 0 and 1 / rms or 1
end

--- The learning rate: what was asked for, or 7.5 over the number of features, so
-- that a step of Adam moves a class's score by about the same whatever the base
-- (3e-4 for VGG19's 25,088 features, 3.7e-3 for the 2,048 of the embedded base;
-- chosen on the article's images and the phantoms among 1e-5 to 3e-3).
function head.rate(config, width)
  return config.rate or 7.5 / width
end

-- The parameters to train: the base's part, if any, at a rate of its own.
local function groups(net, config)
  local back = net:get "back"
  if not back then return net:parameters() end
  return { { params = net:get "dense":parameters() }, { params = back:parameters(), lr = config.base_rate } }
end

--- What an image of each class counts: n / (classes * images of the class) of the
-- training part (scikit-learn's "balanced"), so that every class counts alike; nil
-- without --class-weights balanced.
function head.class_weights(config, index, numbers)
  if config.class_weights ~= "balanced" then return nil end
  local classes, encoder = #index.classes, index:encoder()
  local counts, weights = {}, {}
  for c = 1, classes do counts[c] = 0 end
  for _, i in ipairs(numbers) do
    local c = encoder:encode(index[i].class)
    counts[c] = counts[c] + 1
  end
  for c = 1, classes do weights[c] = counts[c] > 0 and #numbers / (classes * counts[c]) or 0.0 end
  return luma.tensor(weights, "f32")
end

-- The features of rows as the dense layer takes them: averaged over places.
local function pooled(input, x)
  if input.pool ~= "gap" then return x:clone() end
  local places = input.width // input.shape[#input.shape]
  local grid <close> = x:reshape(#x, places, input.shape[#input.shape])
  return grid:mean(2)
end

-- Logistic regression on all views of the training images, standardised: exact,
-- deterministic, no epochs.  config.c is scikit-learn's C.
local function fit_logistic(task, net)
  local features, input = task.features, task.features.input
  local rows, of = features:rows_of(task.train)
  local parts, d = {}, head.width(input)
  for first = 1, #rows, 256 do
    local ids <close> = luma.tensor(table.move(rows, first, math.min(first + 255, #rows), 1, {}), "i32")
    local x <close> = features.x:index_select(1, ids)
    parts[#parts + 1] = pooled(input, x)
  end
  local x <close> = luma.concat(parts, 1)
  for _, part in ipairs(parts) do part:close() end
  local list = {}
  for k, i in ipairs(of) do list[k] = task.index[i] end
  local y <close> = task.index:encoder():encode(list)
  local mean <close> = x:mean(1)
  local centred <close> = x - mean
  local square <close> = centred * centred
  local variance <close> = square:mean(1)
  local deviation <close> = variance:sqrt():clamp(1e-12)
  local z <close> = centred / deviation
  local classes = #task.index.classes
  local theta = luma.core.learn.logistic_fit(z, y, { c = task.config.c, classes = classes,
    weights = head.class_weights(task.config, task.index, task.train) })
  -- Back to features as they are: w = theta / deviation, b = intercept - w . mean.
  local dense = net:get "dense"
  local weight, bias = dense.weight, dense.bias
  for k = 1, theta:size(1) do
    local t <close> = theta[k]:narrow(1, 1, d):to "f32"
    local w <close> = t / deviation
    local shift = (w * mean):sum():item()
    local b = theta[k][d + 1] - shift
    if classes == 2 then -- one weight vector: half to each side, the same softmax
      local half <close> = w * 0.5
      local minus <close> = -half
      weight[{ {}, 1 }], weight[{ {}, 2 }] = minus, half
      bias[1], bias[2] = -b / 2, b / 2
    else
      weight[{ {}, k }], bias[k] = w, b
    end
  end
  local p = head.probabilities(net, features:plain(task.train))
  local loss, hits = 0.0, 0
  for k, i in ipairs(task.train) do
    local id = task.index:encoder():encode(task.index[i].class)
    loss = loss - math.log(math.max(p[k][id], 1e-12))
    hits = hits + (head.argmax(p[k]) == id and 1 or 0)
  end
  return { { epoch = 1, loss = loss / #p, accuracy = hits / #p } }
end

--- Trains one fold; an interrupt is raised again after the checkpoint is written.
-- @param task config, index, features, fold, train, val (lists of image numbers;
--   val may be empty), meter (a progress line or nil), checkpoint (a path or nil),
--   stream (an inner fold's number or nil)
-- @return net, history
function head.train(task)
  local config, features = task.config, task.features
  local stream = task.stream or 0
  local net = head.build(features.input, #task.index.classes, config, task.fold, stream)
  if config.head == "logistic" then
    local history = fit_logistic(task, net)
    if task.meter then task.meter:add(config.epochs) end
    return net, history
  end
  local unit = config.normalise and unit_of(features, task.train, net) or 1
  if net:get "unit" then
    net:get("unit").factor:fill_(unit) -- behind the trained layers, where it stays
    unit = 1
  end
  local seen = 0
  local weights = head.class_weights(config, task.index, task.train)
  local history, ending = train.fit {
    net = net, epochs = config.epochs,
    optimiser = optim.Adam(groups(net, config), { lr = head.rate(config, head.width(features.input)),
      weight_decay = config.l2 or 0 }),
    loss = weights and function(out, y) return luma.cross_entropy(out, y, { weights = weights }) end or nil,
    schedule = config.schedule == "cosine" and optim.schedule.cosine { epochs = config.epochs } or nil,
    data = function(epoch)
      local rng = luma.rng(seed_of(config, task.fold), stream):fork(epoch)
      return labelled(task.index, unit, features:training_batches(task.train, config.batch, epoch, rng))
    end,
    validate = #task.val > 0 and function()
      return labelled(task.index, unit, features:plain_batches(task.val, config.batch))
    end or nil,
    -- Fresh views make an epoch dear; on kept ones it takes milliseconds.
    checkpoint = task.checkpoint and { path = task.checkpoint, every = config.fresh and 1 or 50 } or nil,
    on_epoch = task.meter and function(row)
      task.meter:add(row.epoch - seen, ("loss %.4f, accuracy %.4f"):format(row.loss, row.accuracy))
      seen = row.epoch
    end or nil,
  }
  if ending == "interrupted" then error(luma.core.interrupt, 0) end
  if seen == 0 and task.meter then task.meter:add(#history) end
  if unit ~= 1 then net:get("dense").weight:mul_(unit) end -- the head that is kept takes features as they are
  return net, history
end

return head
