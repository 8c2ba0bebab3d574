import Basics
import CHDF5
import Glibc

extension H5File {
  /// Makes a dataset, and the groups on its path; its bytes get their place in the file at once and are not filled.
  /// - Throws: code 74 when the name is taken or the library refuses it.
  /// - Collective: the ranks that opened the file.
  public func createDataset(_ name: String, _ kind: ElementKind, shape: [Int]) throws(Failure) {
    try createGroups(of: name)
    try use { file throws(Failure) in
      let creation = H5Pcreate(chdf5_dataset_creation())
      defer { H5Pclose(creation) }
      H5Pset_layout(creation, H5D_CONTIGUOUS)
      H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY)
      H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER)
      H5Pset_obj_track_times(creation, false)
      let space = try dataspace(shape, name)
      defer { H5Sclose(space) }
      let dataset = H5Dcreate2(file, name, kind.type, space, chdf5_default(), creation, chdf5_default())
      guard dataset >= 0 else { throw Failure.hdf5("create dataset", .ioError, path: path, name: name) }
      H5Dclose(dataset)
    }
  }

  /// Makes a group and those on its path that are missing.
  /// - Collective: the ranks that opened the file.
  public func createGroup(_ name: String) throws(Failure) { try createGroups(of: name + "/") }

  private func createGroups(of name: String) throws(Failure) {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    try use { file throws(Failure) in
      let creation = H5Pcreate(chdf5_group_creation())
      defer { H5Pclose(creation) }
      H5Pset_obj_track_times(creation, false)
      var group = ""
      for part in parts where !part.isEmpty {
        group += group.isEmpty ? String(part) : "/\(part)"
        if H5Lexists(file, group, chdf5_default()) > 0 { continue }
        let made = H5Gcreate2(file, group, chdf5_default(), creation, chdf5_default())
        guard made >= 0 else { throw Failure.hdf5("create group", .ioError, path: path, name: group) }
        H5Gclose(made)
      }
    }
  }

  /// Writes the elements of some boxes of a dataset, or all of them; `elements` holds them one box after another.
  /// - Throws: code 74.
  /// - Collective: the ranks that opened the file; a rank with no box still calls.
  public func write(
    _ name: String, _ kind: ElementKind, from elements: UnsafeRawPointer, boxes: [Hyperslab]? = nil
  ) throws(Failure) {
    try transfer(name, boxes: boxes) { dataset, memory, space, properties in
      H5Dwrite(dataset, kind.type, memory, space, properties, elements)
    }
  }

  /// Reads the elements of some boxes of a dataset, or all of them, one box after another.
  /// - Throws: code 65.
  /// - Collective: the ranks that opened the file; a rank with no box still calls.
  public func read(
    _ name: String, _ kind: ElementKind, into elements: UnsafeMutableRawPointer, boxes: [Hyperslab]? = nil
  ) throws(Failure) {
    try transfer(name, boxes: boxes, reading: true) { dataset, memory, space, properties in
      H5Dread(dataset, kind.type, memory, space, properties, elements)
    }
  }

  private func transfer(
    _ name: String, boxes: [Hyperslab]?, reading: Bool = false, _ move: (hid_t, hid_t, hid_t, hid_t) -> herr_t
  ) throws(Failure) {
    let (call, code) = reading ? ("read", ExitCode.badData) : ("write", ExitCode.ioError)
    try use { file throws(Failure) in
      let dataset = H5Dopen2(file, name, chdf5_default())
      guard dataset >= 0 else { throw Failure.hdf5("open dataset", .badData, path: path, name: name) }
      defer { H5Dclose(dataset) }
      let space = H5Dget_space(dataset)
      defer { H5Sclose(space) }
      var memory = chdf5_all()
      if let boxes {
        try select(boxes, of: space, name)
        memory = try dataspace([boxes.reduce(0) { $0 + $1.elements }], name)
        if boxes.isEmpty { H5Sselect_none(memory) }
      }
      defer { if boxes != nil { H5Sclose(memory) } }
      let properties = H5Pcreate(chdf5_dataset_transfer())
      defer { H5Pclose(properties) }
      if communicator != nil { _ = chdf5_collective_transfer(properties) }
      guard move(dataset, memory, space, properties) >= 0 else {
        throw Failure.hdf5(call, code, path: path, name: name)
      }
    }
  }

  private func select(_ boxes: [Hyperslab], of space: hid_t, _ name: String) throws(Failure) {
    H5Sselect_none(space)
    for box in boxes {
      // A scalar has one box without axes, and the library selects it as a whole.
      let status =
        box.start.isEmpty
        ? H5Sselect_all(space)
        : H5Sselect_hyperslab(space, H5S_SELECT_OR, box.start.map(hsize_t.init), nil, box.count.map(hsize_t.init), nil)
      guard status >= 0 else { throw Failure.hdf5("select", .ioError, path: path, name: name) }
    }
  }

  private func dataspace(_ shape: [Int], _ name: String) throws(Failure) -> hid_t {
    let space =
      shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), shape.map(hsize_t.init), nil)
    guard space >= 0 else { throw Failure.hdf5("create dataspace", .ioError, path: path, name: name) }
    return space
  }

  /// What the file says about one dataset.
  /// - Throws: code 65 when there is no such dataset.
  public func dataset(_ name: String) throws(Failure) -> DatasetInfo {
    try use { file throws(Failure) in
      let dataset = H5Dopen2(file, name, chdf5_default())
      guard dataset >= 0 else { throw Failure.hdf5("open dataset", .badData, path: path, name: name) }
      defer { H5Dclose(dataset) }
      return describe(dataset, name)
    }
  }

  /// All datasets of the file, groups and datasets of a group in the order of their names.
  /// - Throws: code 65 when the tree cannot be read.
  public func datasets() throws(Failure) -> [DatasetInfo] {
    try use { file throws(Failure) in
      var found: [DatasetInfo] = []
      try collect(file, "", depth: 0, &found)
      return found
    }
  }

  private func collect(_ group: hid_t, _ prefix: String, depth: Int, _ found: inout [DatasetInfo]) throws(Failure) {
    // Links may form a ring in a foreign file; no file of ours is this deep.
    guard depth < 32 else { throw Failure(.badData, "groups nested too deep", at: "\(path), \(prefix)") }
    var info = H5G_info_t()
    guard H5Gget_info(group, &info) >= 0 else {
      throw Failure.hdf5("read group", .badData, path: path, name: prefix)
    }
    for index in 0..<info.nlinks {
      let name = prefix + (try linkName(group, index, prefix))
      let object = H5Oopen_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, index, chdf5_default())
      guard object >= 0 else { throw Failure.hdf5("open object", .badData, path: path, name: name) }
      defer { H5Oclose(object) }
      switch H5Iget_type(object) {
      case H5I_GROUP: try collect(object, name + "/", depth: depth + 1, &found)
      case H5I_DATASET: found.append(describe(object, name))
      default: break
      }
    }
  }

  private func linkName(_ group: hid_t, _ index: hsize_t, _ prefix: String) throws(Failure) -> String {
    let length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, index, nil, 0, chdf5_default())
    guard length >= 0 else { throw Failure.hdf5("read link", .badData, path: path, name: prefix) }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 1) { buffer in
      buffer.initialize(repeating: 0)
      H5Lget_name_by_idx(
        group, ".", H5_INDEX_NAME, H5_ITER_INC, index, buffer.baseAddress, length + 1, chdf5_default())
      return buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
  }

  private func describe(_ dataset: hid_t, _ name: String) -> DatasetInfo {
    let space = H5Dget_space(dataset)
    defer { H5Sclose(space) }
    let type = H5Dget_type(dataset)
    defer { H5Tclose(type) }
    let rank = Int(H5Sget_simple_extent_ndims(space))
    var lengths = [hsize_t](repeating: 0, count: max(rank, 0))
    H5Sget_simple_extent_dims(space, &lengths, nil)
    // Without space in the file, or in chunks, a dataset has no address, and the library does not say so when there
    // is a user block.
    let creation = H5Dget_create_plist(dataset)
    defer { H5Pclose(creation) }
    let hasAddress = H5Pget_layout(creation) == H5D_CONTIGUOUS && H5Dget_storage_size(dataset) > 0
    return DatasetInfo(
      name: name, kind: ElementKind(type: type), shape: lengths.map { Int($0) },
      offset: hasAddress ? Int(H5Dget_offset(dataset)) : nil)
  }
}

extension H5File {
  /// Throws code 66 when nothing is at `path`, code 77 when it may not be read.
  static func requireExistence(of path: String) throws(Failure) {
    guard access(path, R_OK) == 0 else { throw Failure.system("open", path: path, errno: errno) }
  }
}
