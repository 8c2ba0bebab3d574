/// The kinds of pictures that `sslmpi visualize` draws.
///
/// - Source: spec/evaluation.md E15 and E16.
public enum PictureKind: String, CaseIterable, Sendable {
  case recon, attention, similarity, patchkmeans, pca, neighbours, clusters, confusion, map

  /// What it shows, in one line.
  public var meaning: String {
    switch self {
    case .recon: "masked images and what the decoder predicts; with layerwise=true from each of the last blocks"
    case .attention: "what the class tokens look at in the last block, per head, mean and mass mask"
    case .similarity: "how similar all patches are to one, and the mask above a threshold"
    case .patchkmeans: "the patches of each image in k clusters"
    case .pca: "the three main directions of the patches of all images as red, green and blue"
    case .neighbours: "images with their nearest neighbours, right classes framed in green"
    case .clusters: "the images nearest to the centre of each k-means cluster"
    case .confusion: "classes against clusters, agreement on the diagonal"
    case .map: "all images on the two main directions of their features"
    }
  }

  /// How many images are drawn when nobody says; of each cluster; nil for a kind that is about all images.
  var standardCount: Int? {
    switch self {
    case .recon, .attention, .similarity, .patchkmeans, .pca, .neighbours: 6
    case .clusters: 10
    case .confusion, .map: nil
    }
  }
}
