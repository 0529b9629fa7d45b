// Die Sätze der Seite auf Deutsch. What the contract says stays in the contract's language.
export default {
  contract: "contract.json ist unbrauchbar ({reason}); betten Sie das Modell neu ein.",
  golden:
    "golden.json hat andere Klassen als contract.json; betten Sie das Modell neu ein.",
  noModel: "Diese App enthält kein Modell {suffix}; betten Sie eines ein.",
  insecure:
    "Auf einer Seite ohne https lässt sich das Modell nicht prüfen; öffnen Sie die Seite mit https.",
  damaged:
    "Das Modell {name} ist beschädigt: Seine SHA-256 steht nicht in golden.json; betten Sie es " +
    "neu ein.",
  runtime: "Dieser Browser kann {name} nicht ausführen ({reason}).",
  gpu: "Die GPU dieses Geräts ist ausgefallen ({reason}).",
  pixels: "Ein Bild von {width} x {height} Bildpunkten kann nicht {found} Bytes haben.",
  undecodable:
    "Diese Datei ist kein lesbares Bild oder zu groß für den Speicher dieses Geräts; wählen Sie " +
    "ein Foto in JPEG, PNG oder WebP.",
  description: "Ordnet ein Foto auf diesem Gerät einer Klasse zu.",
  private: "Fotos bleiben auf diesem Gerät.",
  note: "Trainiert mit: {note}.",
  newVersion: "Eine neue Version ist bereit.",
  renew: "Jetzt verwenden",
  photo: "Foto",
  thePhoto: "Das Foto",
  choose: "Foto wählen",
  take: "Foto aufnehmen",
  cancel: "Abbrechen",
  camera: "Kamera",
  result: "Ergebnis",
  selfTest: "Selbsttest:",
  notRun: "noch nicht gelaufen",
  again: "Noch einmal",
  runtimes: "Laufzeit",
  information: "Über die Antworten",
  licences: "Lizenzen",
  threshold: "„Unsicher“ heißt: Die wahrscheinlichste Klasse hat weniger als {share}.",
  noThreshold: "„Unsicher“ wird nie gemeldet: Das Modell hat keine Schwelle.",
  shares: "Anteile der Klassen",
  class: "Klasse",
  trained: "im Training",
  expected: "hier erwartet",
  noShares: "Das Modell sagt nicht, wie häufig seine Klassen im Training waren.",
  starting: "Wird gestartet …",
  loading: "Das Modell wird geladen …",
  ready: "Wählen Sie ein Foto, oder nehmen Sie eines auf.",
  testing: "Dieses Gerät wird mit bekannten Bildern geprüft …",
  comparing: "{name} wird mit bekannten Bildern geprüft …",
  looking: "Das Foto wird untersucht …",
  reading: "{megapixels} Megapixel werden gelesen …",
  rejected: "Das Foto sieht nicht aus wie die Bilder, die das Netz gelernt hat",
  unsure: "Unsicher: Keine Klasse ist wahrscheinlich genug",
  likeliest: "Die wahrscheinlichste zuerst",
  answered: "{headline} ({whole} ms, davon {inModel} im Modell).",
  passed: "bestanden, größte Abweichung {found}, erlaubt {tolerance}",
  failed: "nicht bestanden, größte Abweichung {found}, erlaubt {tolerance}",
  notANumber: "keine Zahl",
  details: "{model}, {runtime}, {threads}.",
  oneThread: "1 Thread",
  manyThreads: "{threads} Threads",
  fastest: "Am schnellsten war in diesem Browser {first} vor {others}.",
  without: "{runtime} wird nicht verwendet: {reason}",
  testFailed:
    "Der Selbsttest ist gescheitert (größte Abweichung {found}, erlaubt {tolerance}); Antworten " +
    "wären falsch. Wählen Sie die andere Laufzeit oder einen anderen Browser.",
  tooLarge: "Dieses Foto hat {megapixels} Megapixel; wählen Sie eines mit höchstens {most}.",
  noImage: "Diese Datei ist kein Bild, das der Browser zeigen kann; wählen Sie ein Foto.",
  notFetched:
    "model/{name} lässt sich nicht laden; verbinden Sie das Gerät einmal, oder betten Sie das " +
    "Modell neu ein.",
  noJson: "model/{name} ist kein JSON; betten Sie das Modell neu ein.",
  notStarted:
    "{runtime} startet nicht; verbinden Sie das Gerät einmal, und laden Sie die Seite neu.",
  otherChosen: "Eine andere Laufzeit wurde gewählt.",
  unexpected: "Ein unerwarteter Fehler ist aufgetreten ({reason}); laden Sie die Seite neu.",
  cameraInsecure: "Die Kamera braucht eine sichere Seite (https); wählen Sie ein Foto.",
  cameraRefused:
    "Die Kamera ist gesperrt; erlauben Sie sie in den Einstellungen des Browsers, oder wählen " +
    "Sie ein Foto.",
  cameraNone: "Dieses Gerät hat keine Kamera; wählen Sie ein Foto.",
  cameraBusy:
    "Eine andere App benutzt die Kamera; schließen Sie diese, oder wählen Sie ein Foto.",
  cameraFailed: "Die Kamera lässt sich nicht benutzen ({reason}).",
};
