package lesionlite.app

import androidx.compose.foundation.Image
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.FlowRow
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.size
import androidx.compose.material3.Button
import androidx.compose.material3.FilterChip
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.remember
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.asImageBitmap
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.clearAndSetSemantics
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import java.text.NumberFormat
import lesionlite.classifier.Answer
import lesionlite.core.Accelerator
import lesionlite.core.Contract
import lesionlite.core.Ranked
import lesionlite.core.Selection

@Composable
fun MainScreen(
    state: UiState,
    hasCamera: Boolean,
    onChoose: () -> Unit,
    onTake: () -> Unit,
    onAccelerator: (Accelerator?) -> Unit,
    onInformation: () -> Unit
) {
    TextScreen(state.contract, stringResource(R.string.app_name)) {
        // No photos on a phone that failed the self-test.
        val ready = !state.busy && state.running?.verdict?.passed == true
        FlowRow(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
            Button(onChoose, enabled = ready) { Text(stringResource(R.string.choose)) }
            if (hasCamera) {
                OutlinedButton(onTake, enabled = ready) { Text(stringResource(R.string.take)) }
            }
        }
        Text(stringResource(R.string.on_device))
        state.contract?.note?.takeIf { it.isNotEmpty() }?.let { Text(it) }
        if (state.busy) Busy()
        // Screen readers read all of it when it changes.
        val spoken =
            Modifier.semantics(mergeDescendants = true) { liveRegion = LiveRegionMode.Polite }
        Column(spoken) {
            state.error?.let { Text(it, color = MaterialTheme.colorScheme.error) }
            if (state.answer != null && state.contract != null) {
                AnswerCard(state.answer, state.contract)
            }
        }
        Accelerators(state.chosen, enabled = !state.busy, onAccelerator)
        state.running?.let { Running(it) }
        TextButton(onInformation) { Text(stringResource(R.string.information)) }
    }
}

@Composable
private fun Busy() {
    val busy = stringResource(R.string.busy)
    LinearProgressIndicator(Modifier.fillMaxWidth().semantics { contentDescription = busy })
}

@Composable
private fun AnswerCard(answer: Answer, contract: Contract) {
    Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
        Image(
            remember(answer) { answer.seen.asImageBitmap() },
            stringResource(R.string.seen),
            Modifier.size(160.dp)
        )
        doubt(answer, contract)?.let { Text(it, style = MaterialTheme.typography.titleMedium) }
        answer.ranking.top.forEach { ClassRow(it) }
        Text(
            stringResource(
                R.string.time,
                answer.whole.inWholeMilliseconds,
                answer.inModel.inWholeMilliseconds
            ),
            style = MaterialTheme.typography.bodySmall
        )
    }
}

@Composable
private fun doubt(answer: Answer, contract: Contract): String? = when {
    answer.ranking.rejected -> stringResource(R.string.rejected)
    answer.ranking.unsure -> stringResource(R.string.not_sure, percent(contract.unsureBelow))
    else -> null
}

@Composable
private fun ClassRow(ranked: Ranked) {
    Column {
        Row(Modifier.fillMaxWidth(), Arrangement.SpaceBetween) {
            Text(ranked.label, Modifier.weight(1f))
            Text(percent(ranked.probability.toDouble()))
        }
        LinearProgressIndicator(
            progress = { ranked.probability },
            Modifier.fillMaxWidth().clearAndSetSemantics {} // screen readers read the number
        )
    }
}

/** Null stands for the app's own choice. */
@Composable
private fun Accelerators(
    chosen: Accelerator?,
    enabled: Boolean,
    onAccelerator: (Accelerator?) -> Unit
) {
    Text(
        stringResource(R.string.accelerators),
        Modifier.semantics { heading() },
        style = MaterialTheme.typography.titleMedium
    )
    FlowRow(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
        (listOf(null) + Accelerator.entries).forEach { accelerator ->
            FilterChip(
                selected = accelerator == chosen,
                onClick = { onAccelerator(accelerator) },
                label = { Text(accelerator?.name ?: stringResource(R.string.automatic)) },
                enabled = enabled
            )
        }
    }
}

@Composable
private fun Running(running: Selection) {
    val verdict = running.verdict
    val colors = MaterialTheme.colorScheme
    Text(
        stringResource(R.string.runs_on, running.accelerator.name),
        style = MaterialTheme.typography.bodySmall
    )
    running.dropped.forEach {
        Text(
            stringResource(R.string.dropped, it.accelerator.name, it.reason),
            style = MaterialTheme.typography.bodySmall
        )
    }
    Text(
        stringResource(
            if (verdict.passed) R.string.self_test_passed else R.string.self_test_failed,
            verdict.largest
        ),
        color = if (verdict.passed) colors.onSurface else colors.error,
        style = MaterialTheme.typography.bodySmall
    )
}

internal fun percent(share: Double): String =
    NumberFormat.getPercentInstance().apply { maximumFractionDigits = 1 }.format(share)
