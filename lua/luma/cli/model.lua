--- luma model: what a network consists of, as a table or as a picture.

local luma = require "luma"
local text = require "luma.base.text"

return {
  name = "model",
  summary = "show a network: its layers, weights and work, or a picture of it",
  parser = function(p)
    p:argument("network", "tiny, vgg16, vgg19, resnet50, or the folder of a saved model."):argname("NETWORK")
    p:flag("--top", "With the ImageNet classifier.")
    p:option("--weights", "A weight file to check against the network."):argname("FILE")
    p:option("--figure", "Write a picture (.svg or .png) instead of the table."):argname("FILE")
  end,
  run = function(args)
    local models, known = luma.models, false
    local net, message
    for _, name in ipairs(models.names) do known = known or name == args.network end
    if known then
      net, message = models[args.network] { weights = args.weights, top = args.top or false,
        init = not args.weights and "zeros" or nil }
    elseif luma.files.is_dir(args.network) then
      local saved
      saved, message = luma.store.load_model(args.network)
      net = saved and saved.net
    else
      message = ("no network '%s' (known: %s; or the folder of a saved model)"):format(
        text.printable(args.network, 60), table.concat(models.names, ", "))
    end
    if not net then error(message, 0) end
    if args.figure then
      if not args.figure:lower():match "%.svg$" and not args.figure:lower():match "%.png$" then
        error("--figure: the name must end in .svg or .png", 0)
      end
      local ok, why = luma.plot.architecture(net):save(args.figure)
      if not ok then error(why, 0) end
      print("wrote " .. text.printable(args.figure, 200))
      return
    end
    print(net:summary())
    if args.weights then print("weights: " .. (net.weights and net.weights.note or "the saved model's")) end
  end,
}
