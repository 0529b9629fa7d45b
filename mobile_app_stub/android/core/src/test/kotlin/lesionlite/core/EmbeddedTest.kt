package lesionlite.core

import java.io.File
import javax.imageio.ImageIO
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import org.junit.Assume.assumeTrue

/** Checks that the files of `lesionlite embed` fit together. The template has none of them. */
class EmbeddedTest {
    private val model = File(System.getProperty("model"))

    @Test
    fun `model, contract and golden vectors go together`() {
        assumeTrue(model.isDirectory)
        val contract = Contract.parse(model.resolve("contract.json").readText())
        val golden = Golden.parse(model.resolve("golden/golden.json").readText(), contract)
        model.resolve(golden.artifact).inputStream().use { golden.checkModel(it) }
        val side = contract.side
        for (name in golden.images) {
            val image = ImageIO.read(model.resolve("golden/$name"))
            assertEquals(listOf(side, side), listOf(image.width, image.height), name)
            val pixels = image.getRGB(0, 0, side, side, null, 0, side)
            val preprocessor = Preprocessor(side, side, contract.withoutResizing())
            preprocessor.add(pixels)
            val rgb = pixels.flatMap {
                listOf((it shr 16).toByte(), (it shr 8).toByte(), it.toByte())
            }
            assertContentEquals(rgb.toByteArray(), preprocessor.finish(), name)
        }
    }
}
