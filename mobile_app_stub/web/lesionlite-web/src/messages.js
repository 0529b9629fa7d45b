// What a Problem says, by its code. An app may translate them: a Problem carries code and values.
export const MESSAGES = {
  contract: "contract.json {reason}; embed the model again.",
  golden: "golden.json has other labels than contract.json; embed the model again.",
  noModel: "This app holds no {suffix} model; embed one.",
  insecure: "The model cannot be checked on a page without https; open the page by https.",
  damaged:
    "The model {name} is damaged: its SHA-256 is not the one in golden.json; embed it again.",
  runtime: "This browser cannot run {name} ({reason}).",
  gpu: "The GPU of this device failed ({reason}).",
  pixels: "An image of {width} x {height} pixels cannot have {found} bytes.",
  undecodable:
    "This file cannot be decoded as an image, or is too large for this device's memory; " +
    "choose a JPEG, PNG or WebP photo.",
};
