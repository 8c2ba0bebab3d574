import Basics
import CHDF5

extension H5File {
  /// Attaches a value to an object, "/" being the file itself; a value of the same name is replaced.
  /// - Throws: code 74.
  /// - Collective: the ranks that opened the file.
  public func setAttribute(_ name: String, _ value: AttributeValue, of object: String = "/") throws(Failure) {
    try use { file throws(Failure) in
      let owner = H5Oopen(file, object, chdf5_default())
      guard owner >= 0 else { throw Failure.hdf5("open object", .ioError, path: path, name: object) }
      defer { H5Oclose(owner) }
      if H5Aexists(owner, name) > 0 { H5Adelete(owner, name) }
      let type = H5File.type(of: value)
      defer { H5Tclose(type) }
      let space = H5Screate(H5S_SCALAR)
      defer { H5Sclose(space) }
      let attribute = H5Acreate2(owner, name, type, space, chdf5_default(), chdf5_default())
      guard attribute >= 0 else { throw Failure.hdf5("create attribute", .ioError, path: path, name: name) }
      defer { H5Aclose(attribute) }
      let status: herr_t
      switch value {
      case .int(let number): status = withUnsafePointer(to: number) { H5Awrite(attribute, type, $0) }
      case .double(let number): status = withUnsafePointer(to: number) { H5Awrite(attribute, type, $0) }
      case .string(let text):
        status = text.withCString { text in withUnsafePointer(to: text) { H5Awrite(attribute, type, $0) } }
      }
      guard status >= 0 else { throw Failure.hdf5("write attribute", .ioError, path: path, name: name) }
    }
  }

  /// The attributes of an object in the order of their names; those of other types than ours are left out.
  /// - Throws: code 65.
  public func attributes(of object: String = "/") throws(Failure) -> [(name: String, value: AttributeValue)] {
    let found = try use { file throws(Failure) -> [Attribute] in
      let owner = H5Oopen(file, object, chdf5_default())
      guard owner >= 0 else { throw Failure.hdf5("open object", .badData, path: path, name: object) }
      defer { H5Oclose(owner) }
      let count = chdf5_attribute_count(owner)
      guard count >= 0 else { throw Failure.hdf5("count attributes", .badData, path: path, name: object) }
      var found: [Attribute] = []
      for index in 0..<count {
        let attribute = H5Aopen_by_idx(
          owner, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(index), chdf5_default(), chdf5_default())
        guard attribute >= 0 else { throw Failure.hdf5("open attribute", .badData, path: path, name: object) }
        defer { H5Aclose(attribute) }
        let name = H5File.name(of: attribute)
        if let value = try read(attribute, name) { found.append(Attribute(name: name, value: value)) }
      }
      return found
    }
    return found.map { ($0.name, $0.value) }
  }

  /// One attribute of the file itself, nil when it has none of this name or it is of another type.
  /// - Throws: code 65.
  public func attribute(_ name: String) throws(Failure) -> AttributeValue? {
    try attributes().first { $0.name == name }?.value
  }

  private struct Attribute: Sendable {
    let name: String
    let value: AttributeValue
  }

  /// A type handle that the caller closes.
  private static func type(of value: AttributeValue) -> hid_t {
    switch value {
    case .int: return H5Tcopy(chdf5_int64())
    case .double: return H5Tcopy(chdf5_float64())
    case .string: return textType()
    }
  }

  /// Strings of any length: h5py shows them as `str`, fixed-length ones as bytes.
  private static func textType() -> hid_t {
    let type = H5Tcopy(chdf5_c_string())
    H5Tset_size(type, chdf5_variable_length())
    H5Tset_cset(type, H5T_CSET_UTF8)
    return type
  }

  private static func name(of attribute: hid_t) -> String {
    let length = max(H5Aget_name(attribute, 0, nil), 0)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 1) { buffer in
      buffer.initialize(repeating: 0)
      H5Aget_name(attribute, length + 1, buffer.baseAddress)
      return buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
  }

  private func read(_ attribute: hid_t, _ name: String) throws(Failure) -> AttributeValue? {
    let space = H5Aget_space(attribute)
    defer { H5Sclose(space) }
    guard H5Sget_simple_extent_npoints(space) == 1 else { return nil }
    let type = H5Aget_type(attribute)
    defer { H5Tclose(type) }
    let status: herr_t
    var value: AttributeValue?
    switch H5Tget_class(type) {
    case H5T_INTEGER:
      var number: Int64 = 0
      status = H5Aread(attribute, chdf5_int64(), &number)
      value = .int(number)
    case H5T_FLOAT:
      var number = 0.0
      status = H5Aread(attribute, chdf5_float64(), &number)
      value = .double(number)
    case H5T_STRING where H5Tis_variable_str(type) > 0:
      var text: UnsafeMutablePointer<CChar>?
      status = H5Aread(attribute, type, &text)
      if let text {
        value = .string(String(cString: text))
        H5free_memory(text)
      }
    case H5T_STRING:
      let length = H5Tget_size(type)
      var bytes = [UInt8](repeating: 0, count: length)
      status = H5Aread(attribute, type, &bytes)
      value = .string(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
    default: return nil
    }
    guard status >= 0 else { throw Failure.hdf5("read attribute", .badData, path: path, name: name) }
    return value
  }
}
