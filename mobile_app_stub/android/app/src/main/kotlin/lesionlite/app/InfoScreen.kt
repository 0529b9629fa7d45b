package lesionlite.app

import androidx.activity.compose.BackHandler
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.FlowRow
import androidx.compose.material3.Button
import androidx.compose.material3.FilledTonalButton
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.remember
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalResources
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import lesionlite.core.Contract

/** What the contract says of the answers. */
@Composable
fun InfoScreen(contract: Contract?, onLicences: () -> Unit, onBack: () -> Unit) {
    BackHandler(onBack = onBack)
    TextScreen(contract, stringResource(R.string.information)) {
        contract?.let { OperatingPoint(it) }
        FlowRow(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
            FilledTonalButton(onBack) { Text(stringResource(R.string.back)) }
            Button(onLicences) { Text(stringResource(R.string.licences)) }
        }
    }
}

@Composable
private fun OperatingPoint(contract: Contract) {
    Text(stringResource(R.string.model_facts, contract.labels.size, contract.side))
    Text(
        if (contract.unsureBelow > 0) {
            stringResource(R.string.unsure_below, percent(contract.unsureBelow))
        } else {
            stringResource(R.string.never_unsure)
        }
    )
    Text(
        stringResource(
            if (contract.rejection == null) R.string.never_rejects else R.string.may_reject
        )
    )
    if (contract.prior.isNotEmpty()) Shares(contract)
}

@Composable
private fun Shares(contract: Contract) {
    Text(
        stringResource(R.string.shares),
        Modifier.semantics { heading() },
        style = MaterialTheme.typography.titleMedium
    )
    val expected = contract.expectedShares()
    Column(verticalArrangement = Arrangement.spacedBy(4.dp)) {
        contract.labels.forEachIndexed { at, label ->
            val shares = listOf(contract.prior[at], expected[at]).map { percent(it) }
            Text(stringResource(R.string.share, label, shares[0], shares[1]))
        }
    }
}

/** The licences of this app and of what it contains. */
@Composable
fun LicencesScreen(contract: Contract?, onBack: () -> Unit) {
    val resources = LocalResources.current
    val text = remember {
        resources.openRawResource(R.raw.licences).bufferedReader().use { it.readText() }
    }
    BackHandler(onBack = onBack)
    TextScreen(contract, stringResource(R.string.licences)) {
        FilledTonalButton(onBack) { Text(stringResource(R.string.back)) }
        Text(text, style = MaterialTheme.typography.bodySmall)
    }
}
