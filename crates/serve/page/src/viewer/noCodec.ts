/** Stands in for the codecs of Zarr. */
export default class NoCodec {
  static fromConfig(): never {
    throw new Error('Zarr is not supported.')
  }
}
