package lesionlite.core

import java.io.File
import java.util.Base64
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.json.JSONArray
import org.json.JSONObject

/** Compares the core with cases that the Python reference made (cases.json). */
class CasesTest {
    private val cases = JSONObject(File(System.getProperty("cases")).readText())

    private fun each(kind: String, check: (JSONObject) -> Unit) =
        cases.getJSONArray(kind).items { check(it as JSONObject) }

    @Test
    fun `contracts are accepted, or refused by a sentence that names the field`() {
        each("contracts") { case ->
            val text = case.getJSONObject("contract").toString()
            if (case.isNull("problem")) {
                assertEquals(listOf("one", "two", "three", "four"), Contract.parse(text).labels)
            } else {
                val refused = assertFailsWith<Problem>(text) { Contract.parse(text) }
                assertContains(refused.message, case.getString("problem"))
            }
        }
        for (text in listOf("", "null", "[]", "{")) {
            assertFailsWith<Problem> {
                Contract.parse(text)
            }
        }
    }

    @Test
    fun geometry() {
        each("geometry") { case ->
            val found = Geometry.of(case.getInt("width"), case.getInt("height"), case.contract())
            val (width, height) = case.numbers("scaled").map { it.toInt() }
            val (left, top) = case.numbers("crop").map { it.toInt() }
            assertEquals(Geometry(width, height, left, top), found)
        }
    }

    @Test
    fun `inputs are equal to the byte`() {
        each("inputs") { case ->
            val preprocessor = case.preprocessor()
            preprocessor.add(case.pixels())
            assertContentEquals(case.bytes("expected"), preprocessor.finish())
        }
    }

    @Test
    fun `strips give what the whole image gives`() {
        val case = cases.getJSONArray("inputs").getJSONObject(4)
        val preprocessor = case.preprocessor()
        val strip = IntArray(7 * case.getInt("width"))
        for (pixels in case.pixels().toList().chunked(strip.size)) {
            pixels.toIntArray().copyInto(strip) // the last strip may be shorter
            preprocessor.add(strip, pixels.size / case.getInt("width"))
        }
        assertContentEquals(case.bytes("expected"), preprocessor.finish())
    }

    @Test
    fun `an image of the model's size goes in as it is`() {
        val shortest = cases.getJSONArray("geometry").getJSONObject(7).contract()
        assertTrue(shortest.resizeSide > shortest.side)
        val side = shortest.side
        val preprocessor = Preprocessor(side, side, shortest.withoutResizing())
        preprocessor.add(IntArray(side * side) { it })
        val blue = preprocessor.finish().filterIndexed { at, _ -> at % 3 == 2 }
        assertEquals(List(side * side) { it.toByte() }, blue)
    }

    @Test
    fun ranking() {
        each("ranking") { case ->
            val answers = case.numbers("probabilities").floats()
            val found = rank(answers, case.contract(), NONE) // these contracts do not reject
            val top =
                case.getJSONArray("top").items { (it as JSONArray) }.map {
                    Ranked(it.getString(0), it.getDouble(1).toFloat())
                }
            assertEquals(Ranking(top, case.getBoolean("unsure"), rejected = false), found)
        }
    }

    @Test
    fun `images of another kind`() {
        each("rejection") { case ->
            val contract = case.contract()
            val pixels = case.bytes("pixels")
            val answers = case.numbers("probabilities").floats()
            val distance = case.getDouble("distance")
            val found = contract.rejection!!.squaredDistance(pixels, contract.side, answers)
            assertEquals(distance, found, absoluteTolerance = 1e-5 * distance)
            assertEquals(case.getBoolean("rejected"), rank(answers, contract, pixels).rejected)
        }
    }

    @Test
    fun `golden answers pass within the tolerance and fail beyond`() {
        each("golden") { case ->
            val golden = Golden.parse(case.getJSONObject("golden").toString(), contract)
            assertEquals(case.getString("artifact"), golden.artifact)
            val found = case.getJSONArray("found").items { (it as JSONArray).numbers().floats() }
            val largest = if (case.isNull("largest")) Double.NaN else case.getDouble("largest")
            assertEquals(Verdict(case.getBoolean("passed"), largest), golden.judge(found))
        }
    }

    @Test
    fun `golden vectors of another contract, or of no model, are refused`() {
        val text = cases.getJSONArray("golden").getJSONObject(0).getJSONObject("golden").toString()
        val other = contract.copy(labels = contract.labels.reversed())
        assertContains(assertFailsWith<Problem> { Golden.parse(text, other) }.message, "labels")
        val faults =
            listOf<JSONObject.() -> Unit>(
                { put("artifacts", JSONObject()) },
                { getJSONArray("images").put("2.png") },
                { remove("labels") },
                { getJSONObject("artifacts").getJSONObject("model.bin").remove("tolerance") }
            )
        for (fault in faults) {
            val spoilt = JSONObject(text).apply(fault).toString()
            assertFailsWith<Problem>(spoilt) { Golden.parse(spoilt, contract) }
        }
        assertFailsWith<Problem> { Golden.parse("null", contract) }
    }

    @Test
    fun `a model file of another hash is refused`() {
        val json = cases.getJSONArray("golden").getJSONObject(0).getJSONObject("golden")
        val entry = json.getJSONObject("artifacts").getJSONObject("model.bin")
        // SHA-256 of "abc", one of the examples in FIPS 180-2
        entry.put("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        val golden = Golden.parse(json.toString(), contract)
        golden.checkModel("abc".byteInputStream())
        val refused = assertFailsWith<Problem> { golden.checkModel("abd".byteInputStream()) }
        assertContains(refused.message, "model.bin")
    }

    private val contract = cases.getJSONArray("ranking").getJSONObject(0).contract()
}

private val NONE = ByteArray(0)

private fun JSONObject.contract() = Contract.parse(getJSONObject("contract").toString())

private fun JSONObject.preprocessor() = Preprocessor(getInt("width"), getInt("height"), contract())

private fun JSONObject.bytes(name: String): ByteArray = Base64.getDecoder().decode(getString(name))

/** Pixels as Android's bitmaps give them, not opaque. */
private fun JSONObject.pixels(): IntArray {
    val rgb = bytes("pixels").map { it.toInt() and 0xFF }
    return IntArray(rgb.size / 3) {
        (0x7F shl 24) or (rgb[it * 3] shl 16) or (rgb[it * 3 + 1] shl 8) or rgb[it * 3 + 2]
    }
}

private fun JSONObject.numbers(name: String) = getJSONArray(name).numbers()

/** JSON has no NaN; the cases have null for it. */
private fun JSONArray.numbers() = List(length()) { if (isNull(it)) Double.NaN else getDouble(it) }

private fun List<Double>.floats() = FloatArray(size) { this[it].toFloat() }
