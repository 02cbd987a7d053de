--- The published files luma knows by their MD5: Keras's ImageNet weights, and
-- the list of ImageNet's class names.  `luma fetch` downloads from this table;
-- the loaders say whether a file is one of these.

local keras = "https://storage.googleapis.com/tensorflow/keras-applications/"
local first = "https://github.com/fchollet/deep-learning-models/releases/download/"

return {
  { name = "vgg19", file = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5", model = "vgg19", top = false,
    md5 = "253f8cb515780f3b799900260a226db6", bytes = 80134624, folder = keras .. "vgg19/" },
  { name = "vgg19-top", file = "vgg19_weights_tf_dim_ordering_tf_kernels.h5", model = "vgg19", top = true,
    md5 = "cbe5617147190e668d6c5d5026f83318", folder = keras .. "vgg19/" },
  { name = "vgg16", file = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", model = "vgg16", top = false,
    md5 = "6d6bbae143d832006294945121d1f1fc", folder = keras .. "vgg16/" },
  { name = "vgg16-top", file = "vgg16_weights_tf_dim_ordering_tf_kernels.h5", model = "vgg16", top = true,
    md5 = "64373286793e3c8b2b4e3219cbf3544b", folder = keras .. "vgg16/" },
  { name = "resnet50", file = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", model = "resnet50", top = false,
    md5 = "4d473c1dd8becc155b73f8504c6f6626", folder = keras .. "resnet/" },
  { name = "resnet50-top", file = "resnet50_weights_tf_dim_ordering_tf_kernels.h5", model = "resnet50", top = true,
    md5 = "2cb95161c43110f7111970584f804107", folder = keras .. "resnet/" },
  -- The first release of ResNet50: layers named res2a_branch2a, batch-norm epsilon 1e-3.
  { name = "resnet50-2016", file = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", model = "resnet50",
    top = false, md5 = "a268eb855778b3df3c7506639542a6af", folder = first .. "v0.2/" },
  { name = "imagenet-classes", file = "imagenet_class_index.json", md5 = "c2c37ea517e94d9795004a39431a14cb",
    folder = "https://storage.googleapis.com/download.tensorflow.org/data/" },
}
