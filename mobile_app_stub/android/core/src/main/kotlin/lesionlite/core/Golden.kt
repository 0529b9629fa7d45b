package lesionlite.core

import java.io.InputStream
import java.security.MessageDigest
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

private const val PART = 1 shl 16

/** Whether the answers are within the tolerance; [largest] is NaN if one is not finite. */
data class Verdict(val passed: Boolean, val largest: Double)

/**
 * Images and the answers that the model should give. They show whether this device feeds and runs
 * the model like the machine that exported it.
 *
 * @property artifact file name of the model
 * @property images file names, beside golden.json
 */
class Golden private constructor(
    val artifact: String,
    val images: List<String>,
    private val sha256: String,
    private val tolerance: Double,
    private val expected: List<List<Double>>
) {
    /**
     * Reads [model] in parts, because a phone may have no memory for all of it.
     *
     * @throws Problem if it is not the file that gave the answers
     */
    fun checkModel(model: InputStream) {
        val digest = MessageDigest.getInstance("SHA-256")
        val part = ByteArray(PART)
        generateSequence { model.read(part).takeIf { it >= 0 } }
            .forEach { digest.update(part, 0, it) }
        if (digest.digest().joinToString("") { "%02x".format(it) } != sha256) {
            throw Problem("The model file $artifact is damaged; install the app again.")
        }
    }

    /** Compare answers, a row for each image, with the expected ones. */
    fun judge(found: List<FloatArray>): Verdict {
        val differences =
            expected.flatMapIndexed { image, row ->
                row.mapIndexed { label, p -> abs(found[image].getOrElse(label) { Float.NaN } - p) }
            }
        val largest = if (differences.all { it.isFinite() }) differences.max() else Double.NaN
        return Verdict(passed = largest <= tolerance, largest)
    }

    /** Why the answers do not pass, in a few words; null if they do. */
    fun complaint(found: List<FloatArray>): String? {
        val labels = expected.first().size
        found.firstOrNull { it.size != labels }?.let {
            return "it gives ${it.size} numbers, not $labels"
        }
        val verdict = judge(found)
        return when {
            verdict.passed -> null

            verdict.largest.isNaN() -> "it gives numbers that are not finite"

            else ->
                "it answers wrongly: a probability differs by %.3f, at most %.3f are tolerated"
                    .format(verdict.largest, tolerance)
        }
    }

    companion object {
        /**
         * Read golden.json.
         *
         * @throws Problem if it does not fit the contract
         */
        fun parse(text: String, contract: Contract): Golden = try {
            read(JSONObject(text), contract)
        } catch (error: JSONException) {
            throw Problem("golden.json holds no golden vectors; embed the model again.", error)
        }

        private fun read(json: JSONObject, contract: Contract): Golden {
            if (json.getJSONArray("labels").items { it } != contract.labels) {
                throw Problem(
                    "golden.json has other labels than contract.json; embed the model again."
                )
            }
            val artifacts = json.getJSONObject("artifacts")
            val artifact =
                artifacts.keys().asSequence().singleOrNull()
                    ?: throw Problem("golden.json is not of one model; embed the model again.")
            val entry = artifacts.getJSONObject(artifact)
            val images = json.getJSONArray("images").items { it.toString() }
            val expected = entry.getJSONArray("probabilities").items {
                (it as JSONArray).numbers()
            }
            if (expected.size != images.size || expected.any { it.size != contract.labels.size }) {
                throw Problem("golden.json lacks answers; embed the model again.")
            }
            return Golden(
                artifact,
                images,
                entry.getString("sha256"),
                entry.getDouble("tolerance"),
                expected
            )
        }

        private fun JSONArray.numbers() = List(length()) { getDouble(it) }
    }
}
