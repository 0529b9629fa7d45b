// A photo from the device's camera, shown in a dialog before it is taken.
import { problem } from "./language.js";

const REASONS = {
  NotAllowedError: "cameraRefused",
  NotFoundError: "cameraNone",
  NotReadableError: "cameraBusy",
};

/**
 * @param {{dialog: HTMLDialogElement, view: HTMLVideoElement, shoot: HTMLElement,
 *   cancel: HTMLElement}} parts
 * @returns {Promise<Blob|null>} a PNG, which is lossless; null if the user cancelled
 * @throws {Problem} if there is no camera, or the user refused access
 */
export async function takePhoto({ dialog, view, shoot, cancel }) {
  const stream = await openCamera();
  try {
    view.srcObject = stream;
    await view.play();
    dialog.showModal();
    const taken = await new Promise((resolve) => {
      shoot.onclick = () => resolve(true);
      cancel.onclick = () => resolve(false);
      dialog.oncancel = () => resolve(false); // the escape key, the phone's back button
    });
    return taken ? await frame(view) : null;
  } finally {
    dialog.close();
    view.srcObject = null;
    for (const track of stream.getTracks()) track.stop();
  }
}

async function openCamera() {
  if (!navigator.mediaDevices) throw problem("cameraInsecure");
  const video = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };
  try {
    return await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    throw problem(REASONS[error.name] ?? "cameraFailed", { reason: error.message });
  }
}

function frame(view) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [view.videoWidth, view.videoHeight];
  canvas.getContext("2d").drawImage(view, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
