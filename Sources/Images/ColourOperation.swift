/// One change of a picture's colours, with every number of it decided.
///
/// All of them work on 8 bits a channel and round as Pillow does, so that their bytes are Pillow's.
/// - Source: spec/mae-ct.md 2.4; torchvision's transforms of Pillow pictures.
public enum ColourOperation: Equatable, Sendable {
  /// Every channel times the factor, which is 0 or more.
  case brightness(Double)
  /// Away from the picture's mean luma, rounded to a grey level, by the factor; 0 is that grey.
  case contrast(Double)
  /// Away from each pixel's own luma by the factor; 0 is grey.
  case saturation(Double)
  /// The hue turned by a part of the circle, -0.5 ... 0.5, in steps of 1/255 cut towards 0, through 8 bits of hue,
  /// saturation and value: a turn by 0 rounds too.
  case hue(Double)
  /// The luma 0.299 R + 0.587 G + 0.114 B in all three channels.
  case grey
  /// Channels from the threshold upwards, 0 ... 256, become 255 minus themselves.
  case solarise(threshold: Int)
  /// A Gaussian of this deviation in pixels, made of three averages over boxes along each axis.
  case blur(sigma: Double)
}
