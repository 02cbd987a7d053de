/* luma-h5.c: Keras HDF5 weights -> safetensors, in a process of its own. */
int main(void) {
  return 1;
}
