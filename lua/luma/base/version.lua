--- The version of luma, in the one place that names it.
return "luma 0.1"
