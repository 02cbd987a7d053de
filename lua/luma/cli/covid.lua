--- luma covid: the main job.

return {
  name = "covid",
  summary = "the article's job: from radiographs to a report (generated data by default)",
  parser = function(p)
    p:option("--data", "The images: the article's folder, one folder per class, a published collection, or a table "
      .. "(luma look DIR says what luma takes it for). Without it: generated phantoms."):argname("DIR|CSV")
    p:option("--metadata", "CSV that knows the patients of the images (DIR/metadata.csv when it is there).")
      :argname("FILE")
    p:option("--classes", "Classes to tell apart, others are left out; the covid-chestxray collection (frontal PA "
      .. "radiographs, prepared first) needs it. A finding with a comma in it: give the option once per finding.")
      :argname("A,B,..."):count("*")
    p:option("--images", "Folder of the files that a table names (default: beside it)."):argname("DIR")
    p:option("--label", "Column of a table that has the classes."):argname("COLUMN")
    p:option("--label-map", "Text file with lines VALUE = CLASS for the labels of a table; (blank) for an empty "
      .. "cell, the class - leaves rows out."):argname("FILE")
    p:option("--normals", "The first N normal images, or all; the article took 99."):argname("N")
    p:option("--weights", "Weights of the base: Keras .h5 or .safetensors; none for random filters."):argname("FILE")
    p:option("--base", "The frozen network: tiny (embedded), vgg19, vgg16 or resnet50. With --weights FILE: vgg19.")
      :argname("NAME")
    p:option("--unfreeze", "Train the base too, from the first layer of that name on: block5, conv5, ...")
      :argname("NAME")
    p:option("--train", "head (default); all: the whole base with it (with --weights none: from scratch).")
      :argname("head|all")
    p:option("--base-rate", "Learning rate of the base's trained layers (1e-5; random ones: 1e-3)."):argname("R")
    p:option("--scale", "Input scaling: unit (the article's), caffe, tf or torch. Default: what the base was trained "
      .. "with."):argname("NAME")
    p:option("--head", "adam: Flatten, Dropout, Dense trained by Adam (the article's); logistic: L2-regularised "
      .. "logistic regression, its penalty chosen by inner folds. Default: logistic on VGG, adam on the embedded base.")
      :argname("adam|logistic")
    p:option("--features", "Layer of the base that the head reads, averaged over places (gap) or as it is (flat). "
      .. "Default: block4_pool:gap on VGG with --head logistic, else the last layer."):argname("LAYER[:gap|:flat]")
    p:option("--augment", "How training views are moved: none, mild (5 degrees, 5 % shifts) or article (20 degrees, "
      .. "20 % shifts, flips). The plain view is always among them. Default: none for logistic, mild for adam.")
      :argname("none|mild|article")
    p:option("--class-weights", "balanced: every class counts alike in training, however few its images; none "
      .. "(default): every image does."):argname("none|balanced")
    p:flag("--no-twins", "Leave out the counterfactual twins (the same pipeline on images without their middle, ...).")
    p:option("--preset", "quick: 4 kept views of each training image; standard: 20; article: fresh views every epoch, "
      .. "500 epochs."):argname("NAME"):default("quick")
    p:option("--epochs", "Epochs of the head."):argname("N")
    p:option("--folds", "K-fold cross-validation instead of one split, by patient where known."):argname("K")
    p:option("--grid", "Choose settings of the head by inner folds of each training part (nested cross-validation): "
      .. "'rate=1e-3,1e-4;dropout=0.3,0.5;epochs=30,60;l2=0,1e-4'."):argname("NAME=V,V;...")
    p:option("--inner", "Inner folds for --grid (default 3)."):argname("K")
    p:option("--prevalence", "Share of the ill among those examined, for the predictive values (default 0.05).")
      :argname("P")
    p:option("--sensitivity", "Threshold: the highest that finds this share on validation (default: Youden's).")
      :argname("S")
    p:option("--batch", "Images a training step."):argname("N")
    p:option("--rate", "Learning rate of the head (7.5 / features, falling along a cosine; faithful: 1e-3, constant).")
      :argname("R")
    p:option("--phantoms", "How many images to generate without --data."):argname("N")
    p:option("--seed", "Everything random follows from it."):argname("N")
    p:option("--threads", "Threads to use; changes no number."):argname("N")
    p:option("--out", "The run's folder (default: runs/covid-1, -2, ...)."):argname("DIR")
    p:flag("--allow-leak", "Train although copies of test images are among the training images.")
    p:flag("--faithful", "The article's choices with their mistakes: unit scaling, patients not kept apart, test set "
      .. "as validation.")
  end,
  run = function(args)
    return require("luma.study.covid.run").start(args, print)
  end,
}
