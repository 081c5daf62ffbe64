"""Training sets from folders of meshes: captions found, meshes made into voxels, kept in files that load fast."""
